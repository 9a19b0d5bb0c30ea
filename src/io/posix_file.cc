// Regular files read by pread, behind a process-wide LRU of descriptors: thousands of files meet a soft limit
// of 1,024. A descriptor in use is held by its reader, so eviction never closes it under a read.
//
// A read takes three steps: find an open descriptor (or open the file again), pread, and ask fstat
// whether the file is still the one that was opened. All metadata, such as where chunks lie, is of that
// file; were the file written to meanwhile, bytes of the new one would be decoded by the old one's map,
// and mostly without an error.
//
//     File    path, identity                    one for each opened file, thousands
//     cache   [newest] fd fd fd ... [oldest]    at most 512 descriptors, in the order of their last use
//     reader  holds a descriptor by a pointer   so it stays open while it is read, even if the cache drops it
//
// pread and not mmap: a file that shrinks under a mapping ends the process with a signal, where
// pread returns 0; and pages of a mapping would count as memory of the process, which promises to
// hold no more than its budget.
#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <utility>

#include "base/mutex.h"
#include "io/file.h"
#include "io/missing_folder.h"
#include "io/read_fully.h"

namespace penstock {
namespace {

constexpr std::size_t kMostDescriptors = 512;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

// What makes a file the one that was opened first. The time alone is not enough: it has the granularity of a
// kernel's clock tick, and copies can bring theirs along.
struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  ByteCount size = 0;
  std::int64_t mtime_s = 0, mtime_ns = 0;
  friend bool operator==(const Identity&, const Identity&) = default;
};

Identity identity_of(const struct stat& s) {
  return {s.st_dev, s.st_ino, static_cast<ByteCount>(s.st_size), s.st_mtim.tv_sec, s.st_mtim.tv_nsec};
}

class PosixFile;

// Thread contract: thread-safe. Leaked on purpose: files may die after static destructors ran.
class DescriptorCache {
 public:
  static DescriptorCache& instance() {
    static auto* cache = new DescriptorCache;
    // A reader thread of ours may hold the lock while somebody else forks: the child would wait for it for
    // ever. Leaving the lock free in the child is all that is needed: descriptors are shared with the parent,
    // and pread does not move their offset.
    const auto take = []() PENSTOCK_NO_THREAD_SAFETY_ANALYSIS { instance().mutex_.lock(); };
    const auto give_back = []() PENSTOCK_NO_THREAD_SAFETY_ANALYSIS { instance().mutex_.unlock(); };
    static const int at_fork = pthread_atfork(take, give_back, give_back);
    static_cast<void>(at_fork);
    return *cache;
  }

  // The descriptor of `owner` when it is open, and makes it the most recent one.
  std::shared_ptr<const Descriptor> find(const PosixFile& owner);
  // Keeps `fresh` for `owner` (or returns the one another thread put first) and evicts the oldest ones.
  std::shared_ptr<const Descriptor> put(const PosixFile& owner, std::shared_ptr<const Descriptor> fresh);
  void forget(const PosixFile& owner);
  // Closes the older half, after EMFILE; false when there is nothing to close.
  bool shrink();

 private:
  friend class penstock::PosixFile;
  struct Entry {
    const PosixFile* owner;
    std::shared_ptr<const Descriptor> descriptor;
  };
  static std::size_t capacity();

  Mutex mutex_;
  std::list<Entry> entries_ PENSTOCK_GUARDED_BY(mutex_);  // most recent first
};

class PosixFile final : public File {
 public:
  PosixFile(std::string path, Identity identity) : path_(std::move(path)), identity_(identity) {}
  ~PosixFile() override { DescriptorCache::instance().forget(*this); }

  static Result<std::shared_ptr<const File>> open(const std::string& path);

  Status read_at(ByteOffset offset, std::span<std::byte> out) const override;
  Status unchanged() const override;
  ByteCount size() const override { return identity_.size; }
  const std::string& label() const override { return path_; }

 private:
  friend class DescriptorCache;
  Result<std::shared_ptr<const Descriptor>> descriptor() const;
  // What fstat says of an open descriptor is what was seen when the file was opened first.
  Status check(int fd) const;

  const std::string path_;
  const Identity identity_;
  // This file's place in the cache; guarded by DescriptorCache::mutex_.
  mutable std::list<DescriptorCache::Entry>::iterator place_;
  mutable bool cached_ = false;
};

// Asked anew each time, because a program may change its limit. Half of it is left to the rest of the
// process: data loaders' pipes, sockets, the user's own files.
std::size_t DescriptorCache::capacity() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kMostDescriptors;
  return std::clamp<std::size_t>(limit.rlim_cur / 2, 1, kMostDescriptors);
}

std::shared_ptr<const Descriptor> DescriptorCache::find(const PosixFile& owner) {
  const MutexLock lock(mutex_);
  if (!owner.cached_) return nullptr;
  // To the front. Splicing moves a list's node, so that place_ stays valid and nothing is allocated.
  entries_.splice(entries_.begin(), entries_, owner.place_);
  return owner.place_->descriptor;
}

std::shared_ptr<const Descriptor> DescriptorCache::put(const PosixFile& owner,
                                                       std::shared_ptr<const Descriptor> fresh) {
  const std::size_t most = capacity();
  std::list<Entry> evicted;  // closed after the lock is given back
  const MutexLock lock(mutex_);
  // Two threads may have found the file closed and opened it both. The first one's stays; the other is closed
  // when its last holder lets go.
  if (owner.cached_) return owner.place_->descriptor;
  entries_.push_front({&owner, fresh});
  owner.place_ = entries_.begin();
  owner.cached_ = true;
  while (entries_.size() > most) {
    entries_.back().owner->cached_ = false;
    evicted.splice(evicted.begin(), entries_, std::prev(entries_.end()));
  }
  return fresh;
}

void DescriptorCache::forget(const PosixFile& owner) {
  std::list<Entry> gone;
  const MutexLock lock(mutex_);
  if (!owner.cached_) return;
  owner.cached_ = false;
  gone.splice(gone.begin(), entries_, owner.place_);
}

bool DescriptorCache::shrink() {
  std::list<Entry> evicted;
  const MutexLock lock(mutex_);
  if (entries_.empty()) return false;
  // Half at once: somebody else in the process needs descriptors, too, and would be refused next.
  for (std::size_t n = (entries_.size() + 1) / 2; n > 0; --n) {
    entries_.back().owner->cached_ = false;
    evicted.splice(evicted.begin(), entries_, std::prev(entries_.end()));
  }
  return true;
}

// Opens without blocking (a FIFO without a writer would hang) and leaves errno on failure.
std::shared_ptr<const Descriptor> open_descriptor(const std::string& path) {
  for (;;) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) return std::make_shared<const Descriptor>(fd);
    if (errno == EINTR) continue;
    const int error = errno;
    if (error == EMFILE && DescriptorCache::instance().shrink()) continue;
    errno = error;
    return nullptr;
  }
}

Result<std::shared_ptr<const File>> PosixFile::open(const std::string& path) {
  auto fresh = open_descriptor(path);
  if (!fresh) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) {
      return Status::path_not_found(fmt::format("{}: no such file{}", path, missing_folder(path)));
    }
    return Status::io_error(fmt::format("{}: cannot be opened: {}", path, std::strerror(error)), error);
  }
  struct stat s {};
  if (::fstat(fresh->fd(), &s) != 0) {
    const int error = errno;
    return Status::io_error(fmt::format("{}: cannot be examined: {}", path, std::strerror(error)), error);
  }
  if (!S_ISREG(s.st_mode)) {
    return Status::invalid_argument(fmt::format("{}: is {}, not a regular file", path,
                                                S_ISDIR(s.st_mode) ? "a directory" : "a special file"));
  }
  // Identity and descriptor are of one open: a file that is replaced between two calls cannot get in between.
  auto file = std::make_shared<const PosixFile>(path, identity_of(s));
  DescriptorCache::instance().put(*file, std::move(fresh));
  return std::shared_ptr<const File>(std::move(file));
}

Result<std::shared_ptr<const Descriptor>> PosixFile::descriptor() const {
  auto& cache = DescriptorCache::instance();
  if (auto known = cache.find(*this)) return known;
  auto fresh = open_descriptor(path_);
  if (!fresh) {
    const int error = errno;
    return Status::io_error(fmt::format("cannot be reopened: {}", std::strerror(error)), error)
        .with_file(path_);
  }
  PENSTOCK_RETURN_IF_ERROR(check(fresh->fd()));
  return cache.put(*this, std::move(fresh));
}

Status PosixFile::check(int fd) const {
  struct stat s {};
  if (::fstat(fd, &s) != 0) {
    const int error = errno;
    return Status::io_error(fmt::format("cannot be examined: {}", std::strerror(error)), error)
        .with_file(path_);
  }
  const Identity now = identity_of(s);
  if (now == identity_) [[likely]]
    return {};
  // Said apart, because what to do differs: a file that grows is being written, another file was put in its
  // place.
  const bool other = now.inode != identity_.inode || now.device != identity_.device;
  return Status::io_error(
             fmt::format(
                 "has changed since it was opened ({}). Open it again when nobody writes to it any more",
                 other                        ? "it is another file"
                 : now.size != identity_.size ? fmt::format("{} bytes then, {} now", identity_.size, now.size)
                                              : "it was written to"))
      .with_file(path_);
}

// What is read: the open descriptor. A file that was deleted or replaced goes on to be read as it was.
Status PosixFile::unchanged() const {
  PENSTOCK_ASSIGN_OR_RETURN(const auto descriptor, this->descriptor());
  return check(descriptor->fd());
}

Status PosixFile::read_at(ByteOffset offset, std::span<std::byte> out) const {
  // Offsets come from the file's own metadata and may be anything. Subtracted, not added: the sum might wrap
  // around.
  if (offset > identity_.size || out.size() > identity_.size - offset) {
    return Status::corrupt(fmt::format("{} bytes at 0x{:x} run past the end of the file ({} bytes)",
                                       out.size(), offset, identity_.size))
        .with_file(path_);
  }
  if (out.empty()) return {};
  PENSTOCK_ASSIGN_OR_RETURN(const auto descriptor, this->descriptor());
  PENSTOCK_RETURN_IF_ERROR(
      read_fully(path_, identity_.size, offset, out,
                 [fd = descriptor->fd()](std::byte* data, std::size_t bytes, ByteOffset at) {
                   return ::pread(fd, data, bytes, static_cast<off_t>(at));
                 }));
  // Behind the read: what was written before it is seen. Some 0.2 us beside the tens that a block's reads
  // take.
  return check(descriptor->fd());
}

}  // namespace

Result<std::shared_ptr<const File>> open_posix_file(const std::string& path) { return PosixFile::open(path); }

}  // namespace penstock
