#include "loader/window.h"

#include <algorithm>

#include "base/check.h"
#include "base/checked.h"

namespace penstock::loader {

Window::Window(PagePool* pool, std::span<std::uint32_t> next_page, std::uint64_t max_rows,
               std::uint64_t bin_rows)
    : pool_(pool),
      next_page_(next_page),
      max_rows_(max_rows),
      bin_rows_(bin_rows),
      max_bins_(ceil_div(max_rows, bin_rows)) {
  auto slab = Slab::map(max_rows * sizeof(RowEntry), true);
  PENSTOCK_CHECK(slab.ok());
  table_ = *std::move(slab);
  rows_ = reinterpret_cast<RowEntry*>(table_.data());
  bins_ = std::make_unique<BinState[]>(max_bins_);
}

void Window::open(const plan::Window& window, std::uint64_t epoch, std::uint64_t first_sequence, bool shuffle,
                  std::uint64_t key, std::uint64_t batch_size, std::uint64_t skip_batches) {
  PENSTOCK_CHECK(window.rows <= max_rows_ && bin_rows_ % batch_size == 0);
  plan_ = window;
  epoch_ = epoch;
  first_sequence_ = first_sequence;
  shuffle_ = shuffle;
  places_ = KeyedPermutation(window.rows, key);
  n_bins_ = ceil_div(window.rows, bin_rows_);
  batches_per_bin_ = bin_rows_ / batch_size;
  first_kept_ = skip_batches * batch_size;
  for (std::uint64_t b = 0; b < n_bins_; ++b) {
    BinState& bin = bins_[b];
    bin.first_page = bin.page = PagePool::kNone;
    bin.used = 0;
    bin.built = std::min(batches_per_bin_, skip_batches - std::min(skip_batches, b * batches_per_bin_));
    bin.missing.store(std::min(bin_rows_, window.rows - b * bin_rows_), std::memory_order_relaxed);
  }
  active = true;
  batches_built = skip_batches;
}

std::uint64_t Window::batches_in_bin(std::uint64_t bin) const {
  return std::min(batches_per_bin_, plan_.n_batches - bin * batches_per_bin_);
}

std::byte* Window::place_row(std::uint64_t place, ByteCount bytes, std::uint32_t* pledged) {
  bytes = round_up(bytes, kRecordAlign);
  BinState& bin = bins_[place / bin_rows_];
  RowEntry& e = rows_[place];
  const std::lock_guard lock(bin.mutex);
  if (bin.page == PagePool::kNone || bin.used + bytes > pool_->page_bytes()) {
    const auto pages =
        static_cast<std::uint32_t>(std::max<ByteCount>(1, ceil_div(bytes, pool_->page_bytes())));
    const std::uint32_t first = pool_->take(pages, pledged);
    if (first == PagePool::kNone) return nullptr;
    for (std::uint32_t p = first; p < first + pages; ++p) {
      next_page_[p] = bin.first_page;
      bin.first_page = p;
    }
    e.page = first;
    e.offset = 0;
    if (pages == 1) {
      bin.page = first;
      bin.used = static_cast<std::uint32_t>(bytes);
    }
  } else {
    e.page = bin.page;
    e.offset = bin.used;
    bin.used += static_cast<std::uint32_t>(bytes);
  }
  e.state = RowState::in_page;
  return pool_->address(e.page) + e.offset;
}

void Window::rows_done(std::uint64_t bin, std::uint32_t rows) {
  bins_[bin].missing.fetch_sub(rows, std::memory_order_acq_rel);
}

void Window::free_bin(std::uint64_t b) {
  BinState& bin = bins_[b];
  const std::lock_guard lock(bin.mutex);
  for (std::uint32_t p = bin.first_page; p != PagePool::kNone;) {
    const std::uint32_t next = next_page_[p];
    pool_->give_back(p, 1);
    p = next;
  }
  bin.first_page = bin.page = PagePool::kNone;
}

}  // namespace penstock::loader
