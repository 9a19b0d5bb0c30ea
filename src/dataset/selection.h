// Which rows of the opened files a Dataset has: per file all of them or a bitmap. Selections compose; rows
// stay in file order.
//
// A *position* counts the selected rows over the files. Thread contract: pure functions of immutable parts.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/types.h"
#include "dataset/dataset_impl.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::internal {

using Parts = std::vector<FilePart>;

std::uint64_t selected_rows(std::span<const FilePart> parts);

// Walks the selected rows of one file in ascending order.
class RowCursor {
 public:
  explicit RowCursor(const FilePart& part)
      : all_(part.selected == nullptr), at_(rows_of(part)), end_(rows_of(part)) {
    if (!all_) at_ = part.selected->begin();
  }

  // The next selected row; there is one.
  RowIndex next() {
    if (all_) return row_++;
    const RowIndex row = *at_;
    ++at_;
    return row;
  }
  // The next `n` selected rows; there are as many. Neighbours are one range.
  void next(std::uint64_t n, std::vector<RowRange>& ranges) {
    ranges.clear();
    for (; n > 0; --n) {
      const RowIndex row = next();
      if (!ranges.empty() && ranges.back().last == row) {
        ++ranges.back().last;
      } else {
        ranges.push_back({row, row + 1});
      }
    }
  }
  // Moves on to the first selected row that is >= row.
  void seek(RowIndex row) {
    if (all_) {
      row_ = row;
    } else {
      at_.equalorlarger(static_cast<std::uint32_t>(row));
    }
  }
  // The row that next() would give; there is one.
  RowIndex peek() const { return all_ ? row_ : *at_; }
  // The row that next() would give, if it is before `limit`.
  bool before(RowIndex limit) const { return all_ ? row_ < limit : at_ != end_ && *at_ < limit; }

 private:
  static const Bitmap& empty();
  static Bitmap::const_iterator rows_of(const FilePart& part) {
    return part.selected ? part.selected->end() : empty().end();
  }

  bool all_;
  RowIndex row_ = 0;
  Bitmap::const_iterator at_, end_;
};

// Positions start, start + step, ... before stop (step > 0).
Result<Parts> select_slice(std::span<const FilePart> parts, std::uint64_t start, std::uint64_t stop,
                           std::uint64_t step, MemoryBudget& budget);
// One byte per position; another length is invalid_argument.
Result<Parts> select_mask(std::span<const FilePart> parts, std::span<const std::uint8_t> keep,
                          MemoryBudget& budget);
// In any order; one out of range or twice is invalid_argument.
Result<Parts> select_positions(std::span<const FilePart> parts, std::span<const std::int64_t> positions,
                               MemoryBudget& budget);
// `others` is a selection of the same files.
Result<Parts> join_rows(std::span<const FilePart> parts, std::span<const FilePart> others, RowJoin how,
                        MemoryBudget& budget);

// Global numbers of positions [first, first + out.size()), which exist.
void global_rows(std::span<const FilePart> parts, std::uint64_t first, std::span<std::int64_t> out);
// Positions of global rows in any order; one that is not selected is invalid_argument. Out of order they cost
// 8 bytes a row meanwhile.
Status positions_of(std::span<const FilePart> parts, std::span<const std::int64_t> rows,
                    std::span<std::int64_t> out);

}  // namespace penstock::internal
