#include "memory/page_pool.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/checked.h"

namespace penstock {

// Which pages are taken is a bitmap: bit p % 64 of word p / 64. The bits behind the last page are set for
// good, so that no search finds them.
//
// A pledge is a number and not a set of pages: it is enough that free_ - pledged_ pages are left for those
// who have none. Single pages can be taken wherever they lie, so a pledge is always kept; a run of several
// may fail although enough pages are free, and whoever asks for one has to live with that.

PagePool::PagePool(Slab slab, ByteCount page_bytes)
    : slab_(std::move(slab)),
      page_bytes_(page_bytes),
      n_pages_(static_cast<std::uint32_t>(std::min<ByteCount>(slab_.size() / page_bytes, kNone - 1))) {
  reset();
}

void PagePool::reset() {
  const MutexLock lock(mutex_);
  taken_.assign(ceil_div(n_pages_, 64), 0);
  if (n_pages_ % 64 != 0) taken_.back() = ~std::uint64_t{0} << (n_pages_ % 64);
  free_ = n_pages_;
  pledged_ = 0;
  hint_ = 0;
}

bool PagePool::pledge(std::uint32_t pages) {
  const MutexLock lock(mutex_);
  if (pages > free_ - pledged_) return false;
  pledged_ += pages;
  return true;
}

void PagePool::unpledge(std::uint32_t pages) {
  const MutexLock lock(mutex_);
  PENSTOCK_CHECK(pages <= pledged_);
  pledged_ -= pages;
}

std::uint32_t PagePool::take(std::uint32_t count, std::uint32_t* pledged) {
  const MutexLock lock(mutex_);
  const std::uint32_t own = pledged == nullptr ? 0 : std::min(*pledged, count);
  // Pages that the caller has pledged are its own; beyond them it must leave what others have pledged.
  if (count - own > free_ - pledged_) return kNone;
  const std::uint32_t first = find_run(count);
  if (first == kNone) return kNone;
  for (std::uint32_t p = first; p < first + count; ++p) taken_[p / 64] |= std::uint64_t{1} << (p % 64);
  free_ -= count;
  pledged_ -= own;
  if (pledged != nullptr) *pledged -= own;
  return first;
}

std::uint32_t PagePool::find_run(std::uint32_t count) {
  // By far the most calls. All words before hint_ are full, so that the search goes on where the last one
  // ended.
  if (count == 1) {
    const auto words = static_cast<std::uint32_t>(taken_.size());
    for (std::uint32_t i = 0; i < words; ++i) {
      const std::uint32_t w = hint_ + i < words ? hint_ + i : hint_ + i - words;
      if (taken_[w] != ~std::uint64_t{0}) {
        hint_ = w;
        return w * 64 + static_cast<std::uint32_t>(std::countr_one(taken_[w]));
      }
    }
    return kNone;
  }
  // A row longer than a page: rare, and looked for bit by bit.
  std::uint32_t run = 0;
  for (std::uint32_t p = 0; p < n_pages_; ++p) {
    run = (taken_[p / 64] >> (p % 64) & 1) != 0 ? 0 : run + 1;
    if (run == count) return p + 1 - count;
  }
  return kNone;
}

void PagePool::give_back(std::uint32_t first, std::uint32_t count) {
  const MutexLock lock(mutex_);
  PENSTOCK_CHECK(first + count <= n_pages_);
  for (std::uint32_t p = first; p < first + count; ++p) {
    PENSTOCK_DCHECK((taken_[p / 64] >> (p % 64) & 1) != 0);
    taken_[p / 64] &= ~(std::uint64_t{1} << (p % 64));
  }
  free_ += count;
  hint_ = std::min(hint_, first / 64);
}

std::uint32_t PagePool::free_pages() const {
  const MutexLock lock(mutex_);
  return free_;
}

}  // namespace penstock
