// What lies where. The table has an entry for each place of the window, in the order in which rows leave;
// records lie in pages, in the order in which they came:
//
//   places     | 0 1 2 3 | 4 5 6 7 |       bins of 4 places
//   bin 0      page 12 -> page 3            chain, the page being filled first
//   page 12    | row of place 2 | row of place 0 |  free  |
//
// So a bin is complete when `missing` of it is 0, whatever came in which order, and is given back page by
// page.
#include "engine/window.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "plan/record_layout.h"

namespace penstock::loader {

Result<std::unique_ptr<Window>> Window::create(PagePool* pool, std::span<PageLink> next_page,
                                               std::uint64_t max_rows, std::uint64_t bin_rows) {
  PENSTOCK_ASSIGN_OR_RETURN(Slab table, Slab::map(max_rows * sizeof(RowEntry), true));
  return std::unique_ptr<Window>(new Window(pool, next_page, max_rows, bin_rows, std::move(table)));
}

Window::Window(PagePool* pool, std::span<PageLink> next_page, std::uint64_t max_rows, std::uint64_t bin_rows,
               Slab table)
    : pool_(pool),
      next_page_(next_page),
      max_rows_(max_rows),
      bin_rows_(bin_rows),
      table_(std::move(table)),
      rows_(reinterpret_cast<RowEntry*>(table_.data())),
      bins_(std::make_unique<BinState[]>(ceil_div(max_rows, bin_rows))),
      max_bins_(ceil_div(max_rows, bin_rows)) {}

void Window::open(const plan::WindowSpan& window, std::uint64_t epoch, std::uint64_t first_sequence,
                  bool shuffle, std::uint64_t key, std::uint64_t skip_batches) {
  const std::uint64_t batch_size = window.share.size;
  PENSTOCK_CHECK(window.rows <= max_rows_ && bin_rows_ % batch_size == 0);
  plan_ = window;
  epoch_ = epoch;
  first_sequence_ = first_sequence;
  shuffle_ = shuffle;
  places_ = KeyedPermutation(window.rows, key);
  batches_per_bin_ = bin_rows_ / batch_size;
  n_bins_ = ceil_div(window.n_batches, batches_per_bin_);
  // Places are dealt to bins by bin_rows, batches by number, and the two must agree. A last batch that begins
  // before a bin's first place, as it takes rows from the batch before, joins that. Example: 513 rows with a
  // batch_size of 512, and bins of as many, are batches of 257 and 256 rows (Note [No lone row]). The second
  // one begins at place 257, inside bin 0, so that there is one bin.
  if (n_bins_ > 1 && window.before((n_bins_ - 1) * batches_per_bin_) != (n_bins_ - 1) * bin_rows_) --n_bins_;
  PENSTOCK_CHECK(n_bins_ <= max_bins_);
  first_kept_ = window.before(skip_batches);
  for (std::uint64_t b = 0; b < n_bins_; ++b) {
    BinState& bin = bins_[b];
    const MutexLock lock(bin.mutex);  // nobody else has it: the compiler wants to see it
    bin.first_page = bin.page = PagePool::kNone;
    bin.used = 0;
    // Batches that are skipped count as built. Their rows still count as missing until their blocks have come
    // by.
    bin.built = std::min(batches_in_bin(b), skip_batches - std::min(skip_batches, b * batches_per_bin_));
    // The last bin has what is left, which is more than bin_rows where a batch has joined it.
    const std::uint64_t rows_from_here = window.rows - b * bin_rows_;
    bin.missing.store(b + 1 < n_bins_ ? bin_rows_ : rows_from_here, std::memory_order_relaxed);
  }
  active = true;
  batches_built = skip_batches;
}

std::uint64_t Window::batches_in_bin(std::uint64_t bin) const {
  return bin + 1 < n_bins_ ? batches_per_bin_ : plan_.n_batches - bin * batches_per_bin_;
}

std::byte* Window::place_row(std::uint64_t place, ByteCount bytes, std::uint32_t* pledged) {
  bytes = plan::RecordLayout::taken(bytes);
  BinState& bin = bins_[bin_of(place)];
  RowEntry& e = rows_[place];
  const MutexLock lock(bin.mutex);
  // What is left of the old page stays empty: half a row on average. A row longer than a page gets a run of
  // pages of its own, and the page being filled stays that.
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
  // Release: who sees 0 sees all that was written for the rows. Acquire, because a bin has several writers,
  // and the last of them answers for the others.
  bins_[bin].missing.fetch_sub(rows, std::memory_order_acq_rel);
}

void Window::free_bin(std::uint64_t b) {
  BinState& bin = bins_[b];
  const MutexLock lock(bin.mutex);
  for (std::uint32_t p = bin.first_page; p != PagePool::kNone;) {
    const std::uint32_t next = next_page_[p];
    pool_->give_back(p, 1);
    p = next;
  }
  bin.first_page = bin.page = PagePool::kNone;
}

}  // namespace penstock::loader
