// Regular files read by pread, behind a process-wide LRU of descriptors: thousands of files meet a soft limit
// of 1,024. A descriptor in use is held by its reader, so eviction never closes it under a read.
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
#include <mutex>
#include <utility>

#include "io/file.h"
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

// What makes a file the one that was opened first.
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
    // ever.
    static const int at_fork =
        pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                       [] { instance().mutex_.unlock(); });
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

  std::mutex mutex_;
  std::list<Entry> entries_;  // guarded by mutex_; most recent first
};

class PosixFile final : public File {
 public:
  PosixFile(std::string path, Identity identity) : path_(std::move(path)), identity_(identity) {}
  ~PosixFile() override { DescriptorCache::instance().forget(*this); }

  static Result<std::shared_ptr<const File>> open(const std::string& path);

  Status read_at(ByteOffset offset, std::span<std::byte> out) const override;
  ByteCount size() const override { return identity_.size; }
  const std::string& label() const override { return path_; }

 private:
  friend class DescriptorCache;
  Result<std::shared_ptr<const Descriptor>> descriptor() const;

  const std::string path_;
  const Identity identity_;
  // This file's place in the cache; guarded by DescriptorCache::mutex_.
  mutable std::list<DescriptorCache::Entry>::iterator place_;
  mutable bool cached_ = false;
};

std::size_t DescriptorCache::capacity() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kMostDescriptors;
  return std::clamp<std::size_t>(limit.rlim_cur / 2, 1, kMostDescriptors);
}

std::shared_ptr<const Descriptor> DescriptorCache::find(const PosixFile& owner) {
  const std::lock_guard lock(mutex_);
  if (!owner.cached_) return nullptr;
  entries_.splice(entries_.begin(), entries_, owner.place_);
  return owner.place_->descriptor;
}

std::shared_ptr<const Descriptor> DescriptorCache::put(const PosixFile& owner,
                                                       std::shared_ptr<const Descriptor> fresh) {
  const std::size_t most = capacity();
  std::list<Entry> evicted;  // closed after the lock is given back
  const std::lock_guard lock(mutex_);
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
  const std::lock_guard lock(mutex_);
  if (!owner.cached_) return;
  owner.cached_ = false;
  gone.splice(gone.begin(), entries_, owner.place_);
}

bool DescriptorCache::shrink() {
  std::list<Entry> evicted;
  const std::lock_guard lock(mutex_);
  if (entries_.empty()) return false;
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
      return Status::path_not_found(fmt::format("{}: no such file", path));
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
    return Status::io_error(fmt::format("{}: cannot be reopened: {}", path_, std::strerror(error)), error);
  }
  struct stat s {};
  if (::fstat(fresh->fd(), &s) != 0) {
    const int error = errno;
    return Status::io_error(fmt::format("{}: cannot be examined: {}", path_, std::strerror(error)), error);
  }
  const Identity now = identity_of(s);
  if (now != identity_) {
    return Status::io_error(fmt::format("{}: has changed since it was opened ({} bytes then, {} now{})",
                                        path_, identity_.size, now.size,
                                        now.inode == identity_.inode ? "" : ", another file"));
  }
  return cache.put(*this, std::move(fresh));
}

Status PosixFile::read_at(ByteOffset offset, std::span<std::byte> out) const {
  if (offset > identity_.size || out.size() > identity_.size - offset) {
    return Status::corrupt(fmt::format("{}: {} bytes at 0x{:x} run past the end of the file ({} bytes)",
                                       path_, out.size(), offset, identity_.size));
  }
  if (out.empty()) return {};
  PENSTOCK_ASSIGN_OR_RETURN(const auto descriptor, this->descriptor());
  return read_fully(path_, identity_.size, offset, out,
                    [fd = descriptor->fd()](std::byte* data, std::size_t bytes, ByteOffset at) {
                      return ::pread(fd, data, bytes, static_cast<off_t>(at));
                    });
}

}  // namespace

Result<std::shared_ptr<const File>> open_posix_file(const std::string& path) { return PosixFile::open(path); }

}  // namespace penstock
