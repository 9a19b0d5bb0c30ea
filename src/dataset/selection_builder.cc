#include "dataset/selection_builder.h"

#include <utility>

namespace penstock::internal {

void SelectionBuilder::add_range(RowIndex first, RowIndex last) {
  if (first >= last) return;
  flush();
  rows_.addRange(first, last);
  count_ += last - first;
}

Result<FilePart> SelectionBuilder::take(const FilePart& from, MemoryBudget& budget) {
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

void SelectionBuilder::flush() {
  if (buffered_ > 0) rows_.addMany(buffered_, buffer_.data());
  buffered_ = 0;
}

void SelectionBuilder::clear() {
  Bitmap none;
  rows_.swap(none);
  count_ = 0;
  buffered_ = 0;
}

}  // namespace penstock::internal
