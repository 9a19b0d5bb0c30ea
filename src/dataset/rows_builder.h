// Collects the selected rows of one file after the other into the bitmaps of a selection.
//
// Thread contract: externally synchronised. Memory: a bitmap that is kept is reserved under `index`, for as
// long as any selection uses it.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "base/types.h"
#include "dataset/dataset_impl.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::internal {

// Collects rows of one file, ascending.
class RowsBuilder {
 public:
  void add(RowIndex row) {
    if (buffered_ == kBuffer) flush();
    buffer_[buffered_++] = static_cast<std::uint32_t>(row);
    ++count_;
  }
  void add_range(RowIndex first, RowIndex last) {
    if (first >= last) return;
    flush();
    rows_.addRange(first, last);
    count_ += last - first;
  }

  // The part of `from` that was collected; the builder is empty afterwards.
  Result<FilePart> take(const FilePart& from, MemoryBudget& budget) {
    flush();
    FilePart part = from;
    part.n_selected = count_;
    if (count_ == from.n_selected) {
      clear();
      return part;  // everything: shares the bitmap of `from`, if it has one
    }
    rows_.runOptimize();
    rows_.shrinkToFit();
    // The bitmap keeps its reservation beside it, for as long as any selection uses it.
    struct Held {
      Reservation reservation;
      Bitmap rows;
    };
    const ByteCount bytes = rows_.getSizeInBytes(false) + sizeof(Held);
    auto held = std::make_shared<Held>();
    PENSTOCK_ASSIGN_OR_RETURN(held->reservation, budget.reserve(MemoryTag::index, bytes));
    held->rows.swap(rows_);
    part.selected = std::shared_ptr<const Bitmap>(held, &held->rows);
    clear();
    return part;
  }

 private:
  static constexpr std::size_t kBuffer = 4096;
  void flush() {
    if (buffered_ > 0) rows_.addMany(buffered_, buffer_.data());
    buffered_ = 0;
  }
  void clear() {
    Bitmap none;
    rows_.swap(none);
    count_ = 0;
    buffered_ = 0;
  }

  Bitmap rows_;
  std::vector<std::uint32_t> buffer_ = std::vector<std::uint32_t>(kBuffer);
  std::size_t buffered_ = 0;
  std::uint64_t count_ = 0;
};

// CRoaring throws when the system has no memory.
template <class F>
auto guarded(F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::exception&) {
    return Status::budget("the system has no memory for a selection of rows");
  }
}

}  // namespace penstock::internal
