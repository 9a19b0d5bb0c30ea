// Fixed-size pages cut from one slab, handed out singly or in contiguous runs.
//
// Purpose: the shuffle window's memory. Pages cross threads (one fills, another frees), so nothing here is
// malloc'd per page. Two kinds of callers: those that *pledged* pages beforehand (pledge() succeeded) and
// always get single pages; and those that did not and only get what is neither taken nor pledged. Thread
// contract: thread-safe. Cost: a lock and a bitmap scan of pages / 64 words at worst.
#pragma once

#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "base/types.h"
#include "memory/slab.h"

namespace penstock {

class PagePool {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  PagePool(Slab slab, ByteCount page_bytes);

  ByteCount page_bytes() const { return page_bytes_; }
  std::uint32_t n_pages() const { return n_pages_; }
  std::byte* address(std::uint32_t page) const { return slab_.data() + std::uint64_t{page} * page_bytes_; }

  // Sets `pages` aside for one caller; false when fewer are free of pledges.
  bool pledge(std::uint32_t pages);
  void unpledge(std::uint32_t pages);
  // A run of `count` pages, or kNone. With `pledged`, *pledged is what the caller still has set aside: it is
  // drawn down, and when it is used up the caller competes like everybody else.
  std::uint32_t take(std::uint32_t count, std::uint32_t* pledged);
  void give_back(std::uint32_t first, std::uint32_t count);
  std::uint32_t free_pages() const;
  // All pages free, no pledges.
  void reset();

 private:
  std::uint32_t find_run(std::uint32_t count) PENSTOCK_REQUIRES(mutex_);

  const Slab slab_;
  const ByteCount page_bytes_;
  const std::uint32_t n_pages_;
  mutable Mutex mutex_;
  std::vector<std::uint64_t> taken_ PENSTOCK_GUARDED_BY(mutex_);  // bitmap
  std::uint32_t free_ PENSTOCK_GUARDED_BY(mutex_) = 0;
  std::uint32_t pledged_ PENSTOCK_GUARDED_BY(mutex_) = 0;
  std::uint32_t hint_ PENSTOCK_GUARDED_BY(mutex_) = 0;  // word to start looking in
};

}  // namespace penstock
