// Rows come one by one and go into a Roaring bitmap 4,096 at a time, which looks the place of neighbours up
// once. When a file's rows are complete the bitmap is packed: runs of neighbours become (first, length)
// pairs, and what the vectors have to spare is given back.
//
//     rows 0 to 65,535 of a file    one run: 6 bytes and its head
//     every second one of them      8 KiB of bits
//     a thousand of them            2,000 bytes, 16 bits each
#include "dataset/selection_builder.h"

#include <utility>

namespace penstock::internal {

Result<FilePart> with_rows(const FilePart& from, Bitmap rows, MemoryBudget& budget) {
  rows.runOptimize();
  rows.shrinkToFit();
  // The bitmap keeps its reservation beside it, for as long as any selection uses it.
  struct Held {
    Reservation reservation;
    Bitmap rows;
  };
  // The size as it would be written; in memory there is a pointer for each 65,536 rows beside that.
  const ByteCount bytes = rows.getSizeInBytes(false) + sizeof(Held);
  auto held = std::make_shared<Held>();
  PENSTOCK_ASSIGN_OR_RETURN(held->reservation, budget.reserve(MemoryTag::index, bytes));
  held->rows.swap(rows);
  FilePart part = from;
  part.n_selected = held->rows.cardinality();
  part.selected = std::shared_ptr<const Bitmap>(held, &held->rows);
  return part;
}

// What is buffered lies before the range, and goes into the bitmap before it.
void SelectionBuilder::add_range(RowIndex first, RowIndex last) {
  if (first >= last) return;
  flush();
  rows_.addRange(first, last);
  count_ += last - first;
}

Result<FilePart> SelectionBuilder::take(const FilePart& from, MemoryBudget& budget) {
  flush();
  if (count_ == from.n_selected) {
    clear();
    return from;  // everything: shares the bitmap of `from`, if it has one
  }
  auto taken = with_rows(from, std::move(rows_), budget);
  clear();
  return taken;
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
