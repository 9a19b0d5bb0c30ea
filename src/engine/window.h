// The shuffle window: rows in compact form, lying in the bin of the batch they will leave in.
//
// A window is a run of tape rows that make whole batches. Every row's place inside it is known before its
// block is decoded: a keyed permutation of the window. A bin holds the places of one or more whole batches,
// as many in each but the last (see Note [No lone row] in plan/windows.h); it is a chain of pages from the
// pool. Two windows exist at once: one drains while the next fills the pages it leaves.
//
// Thread contract: open() and close() under the engine's lock; place_row() from many workers at once; a bin's
// rows are read by one worker after its last row has come (BinState::missing == 0, acquire).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "base/mutex.h"
#include "base/permutation.h"
#include "base/types.h"
#include "engine/encode.h"
#include "memory/page_pool.h"
#include "memory/slab.h"
#include "plan/sizing.h"
#include "plan/windows.h"

namespace penstock::loader {

enum class RowState : std::uint8_t {
  in_page,   // page, offset: where the record lies
  deferred,  // found no page: page = file, offset = row in the file; read again when its batch is assembled
  failed,    // its block could not be read: page = number of the error
};

struct RowEntry {
  std::uint32_t page = 0;
  std::uint32_t offset = 0;
  std::uint32_t n = 0;  // entries
  batch::ValueClass cls = batch::ValueClass::u8;
  RowState state = RowState::in_page;
};
static_assert(sizeof(RowEntry) == plan::kRowEntryBytes);

// Which page of a bin follows another one: a number of the pool.
using PageLink = std::uint32_t;
static_assert(sizeof(PageLink) == plan::kPageLinkBytes);

class Window {
 public:
  // Room for windows of up to max_rows rows in bins of bin_rows.
  static Result<std::unique_ptr<Window>> create(PagePool* pool, std::span<PageLink> next_page,
                                                std::uint64_t max_rows, std::uint64_t bin_rows);

  // `first_sequence` is that of its first batch; the first `skip_batches` are not built, their rows not kept:
  // they were delivered before the epoch was resumed.
  void open(const plan::WindowSpan& window, std::uint64_t epoch, std::uint64_t first_sequence, bool shuffle,
            std::uint64_t key, std::uint64_t skip_batches);

  const plan::WindowSpan& plan() const { return plan_; }
  std::uint64_t epoch() const { return epoch_; }
  std::uint64_t first_sequence() const { return first_sequence_; }  // of its batches, over all epochs
  std::uint64_t n_bins() const { return n_bins_; }
  std::uint64_t batches_in_bin(std::uint64_t bin) const;
  std::uint64_t bin_of_batch(std::uint64_t batch) const {
    return std::min(batch / batches_per_bin_, n_bins_ - 1);
  }

  // Where the row at `tape_row` goes.
  std::uint64_t place_of(std::uint64_t tape_row) const {
    const std::uint64_t i = tape_row - plan_.first;
    return shuffle_ ? places_(i) : i;
  }
  // Places before it are of rows that were delivered before.
  std::uint64_t first_kept_place() const { return first_kept_; }
  // Puts a row in its bin: an in_page entry and the address to write `bytes` of record (plan::RecordLayout)
  // to, or nullptr when no page is to be had (the caller then marks it deferred). Not counted until
  // rows_done().
  std::byte* place_row(std::uint64_t place, ByteCount bytes, std::uint32_t* pledged);
  RowEntry& entry(std::uint64_t place) { return rows_[place]; }
  const std::byte* record(const RowEntry& e) const { return pool_->address(e.page) + e.offset; }
  // `rows` of a bin are complete (written, deferred or failed).
  void rows_done(std::uint64_t bin, std::uint32_t rows);
  std::uint64_t bin_of(std::uint64_t place) const { return std::min(place / bin_rows_, n_bins_ - 1); }
  bool bin_complete(std::uint64_t bin) const {
    // The window is opened anew once its last batch is built: by then the rows that were delivered before the
    // epoch was resumed must have come, too. Nothing else waits for bins that hold only such rows.
    if (bin + 1 == n_bins_) {
      for (std::uint64_t b = 0; b < bin_of(first_kept_); ++b) {
        if (bins_[b].missing.load(std::memory_order_acquire) != 0) return false;
      }
    }
    return bins_[bin].missing.load(std::memory_order_acquire) == 0;
  }
  // Gives a bin's pages back; when its last batch has been built.
  void free_bin(std::uint64_t bin);

  // Engine bookkeeping, under its lock.
  bool active = false;
  std::uint64_t batches_built = 0;

  std::uint64_t count_built(std::uint64_t bin) { return ++bins_[bin].built; }

 private:
  Window(PagePool* pool, std::span<PageLink> next_page, std::uint64_t max_rows, std::uint64_t bin_rows,
         Slab table);

  struct alignas(64) BinState {
    Mutex mutex;
    std::uint32_t first_page PENSTOCK_GUARDED_BY(mutex) = PagePool::kNone;  // chain, through next_page_
    std::uint32_t page PENSTOCK_GUARDED_BY(mutex) = PagePool::kNone;        // being filled
    std::uint32_t used PENSTOCK_GUARDED_BY(mutex) = 0;                      // bytes of it
    alignas(64) std::atomic<std::uint64_t> missing{0};                      // rows that have not come
    std::uint64_t built = 0;  // batches; under the engine's lock
  };
  static_assert(sizeof(BinState) <= plan::kBinBytes);

  PagePool* pool_;
  std::span<PageLink> next_page_;  // by page of the pool; a run chains page by page
  std::uint64_t max_rows_, bin_rows_;
  Slab table_;
  RowEntry* rows_ = nullptr;
  std::unique_ptr<BinState[]> bins_;
  std::uint64_t max_bins_;

  // constant while open
  plan::WindowSpan plan_;
  std::uint64_t epoch_ = 0, first_sequence_ = 0, n_bins_ = 1, batches_per_bin_ = 1, first_kept_ = 0;
  bool shuffle_ = true;
  KeyedPermutation places_{0, 0};
};

}  // namespace penstock::loader
