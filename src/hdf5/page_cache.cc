// A cache of 64 pages of 64 KiB for all files: metadata is read in pieces of 8 to a few hundred bytes, and
// the next piece is mostly on the same page. entries_ is the list of pages, the latest used first, and
// places_ finds one by file and number. A page that is asked for moves to the front; the last one is dropped
// when there are too many.
//
// A reader holds a page by shared_ptr while it copies from it, so another thread may drop it meanwhile.
#include "hdf5/page_cache.h"

#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace penstock::hdf5 {

// Leaked on purpose: nodes may die after static destructors ran.
PageCache& PageCache::instance() {
  static auto* cache = new PageCache;
  // As the descriptors in posix_file.cc: a child forked while another thread holds the lock must find it
  // free.
  const auto take = []() PENSTOCK_NO_THREAD_SAFETY_ANALYSIS { instance().mutex_.lock(); };
  const auto give_back = []() PENSTOCK_NO_THREAD_SAFETY_ANALYSIS { instance().mutex_.unlock(); };
  static const int at_fork = pthread_atfork(take, give_back, give_back);
  static_cast<void>(at_fork);
  return *cache;
}

std::uint64_t PageCache::new_key() {
  const MutexLock lock(mutex_);
  return ++keys_;
}

void PageCache::forget(std::uint64_t key) {
  const MutexLock lock(mutex_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    if (it->id.key != key) {
      ++it;
      continue;
    }
    places_.erase(it->id);
    it = entries_.erase(it);
  }
}

Result<PageCache::Page> PageCache::page(std::uint64_t key, const File& file, std::uint64_t number) {
  const Id id{key, number};
  {
    const MutexLock lock(mutex_);
    const auto it = places_.find(id);
    if (it != places_.end()) {
      entries_.splice(entries_.begin(), entries_, it->second);
      return it->second->page;
    }
  }
  // The lock is not held during the read. Two threads may read the same page; the second one finds the first
  // one's in its place. The last page of a file is shorter.
  const ByteOffset begin = number * kPageBytes;
  auto bytes = std::make_shared<std::vector<std::byte>>(std::min(kPageBytes, file.size() - begin));
  PENSTOCK_RETURN_IF_ERROR(file.read_at(begin, *bytes));
  const Page fresh = std::move(bytes);
  const MutexLock lock(mutex_);
  if (const auto it = places_.find(id); it != places_.end()) return it->second->page;
  entries_.push_front({id, fresh});
  places_[id] = entries_.begin();
  if (entries_.size() > kPages) {
    places_.erase(entries_.back().id);
    entries_.pop_back();
  }
  return fresh;
}

Status PageCache::read(std::uint64_t key, const File& file, ByteOffset offset, std::span<std::byte> out) {
  // A long span would push out pages of others, and is not asked for twice.
  if (out.size() >= kPageBytes) return file.read_at(offset, out);
  while (!out.empty()) {
    PENSTOCK_ASSIGN_OR_RETURN(const Page page, this->page(key, file, offset / kPageBytes));
    const ByteCount within = offset % kPageBytes;
    if (within >= page->size()) return Status::internal("metadata page is shorter than the file");
    const std::size_t n = std::min<ByteCount>(out.size(), page->size() - within);
    std::memcpy(out.data(), page->data() + within, n);
    out = out.subspan(n);
    offset += n;
  }
  return {};
}

}  // namespace penstock::hdf5
