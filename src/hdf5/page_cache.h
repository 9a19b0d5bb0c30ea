// Pages of metadata, shared by all open files of the process: opening a file is many small reads close to
// each other, and a collection of thousands of open files must not keep thousands of buffers. At most kPages
// * kPageBytes are held, whatever is open.
//
// Thread contract: thread-safe; files are read outside the lock.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "io/file.h"
#include "penstock/status.h"

namespace penstock::hdf5 {

class PageCache {
 public:
  static constexpr ByteCount kPageBytes = 64 << 10;
  static constexpr std::size_t kPages = 64;

  static PageCache& instance();

  // A key for one open file, never given twice.
  std::uint64_t new_key();
  // Drops the pages of a key.
  void forget(std::uint64_t key);

  // [offset, offset + out.size()) must lie in the file. Spans of a page or more are read directly.
  Status read(std::uint64_t key, const File& file, ByteOffset offset, std::span<std::byte> out);

 private:
  using Page = std::shared_ptr<const std::vector<std::byte>>;
  struct Id {
    std::uint64_t key, number;
    friend bool operator==(const Id&, const Id&) = default;
  };
  struct IdHash {
    std::size_t operator()(const Id& id) const {
      return id.key * 0x9e3779b97f4a7c15u ^ id.number * 0xc2b2ae3d27d4eb4fu;
    }
  };
  struct Entry {
    Id id;
    Page page;
  };

  Result<Page> page(std::uint64_t key, const File& file, std::uint64_t number);

  Mutex mutex_;
  std::uint64_t keys_ PENSTOCK_GUARDED_BY(mutex_) = 0;
  std::list<Entry> entries_ PENSTOCK_GUARDED_BY(mutex_);  // most recent first
  std::unordered_map<Id, std::list<Entry>::iterator, IdHash> places_ PENSTOCK_GUARDED_BY(mutex_);
};

}  // namespace penstock::hdf5
