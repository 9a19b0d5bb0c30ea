// The tape: the epoch's order of blocks, laid end to end as one line of selected rows. A pure function of
// (seed, epoch, position): a keyed permutation of block numbers, or file order. No array of row numbers
// exists.
//
// Thread contract: Tape is immutable; a TapeCursor belongs to one thread at a time.
#pragma once

#include <cstdint>

#include "base/permutation.h"
#include "plan/blocks.h"
#include "plan/lineage.h"

namespace penstock::plan {

class Tape {
 public:
  Tape(const BlockTable* blocks, bool shuffle, std::uint64_t seed, std::uint64_t epoch);
  const BlockTable& blocks() const { return *blocks_; }
  // The block at a place of the tape's order.
  std::uint64_t block_at(std::uint64_t place) const { return shuffle_ ? order_(place) : place; }

 private:
  const BlockTable* blocks_;
  bool shuffle_;
  KeyedPermutation order_;
};

// A block, or the part of it on one side of a cut. With a line, of that part the rows that are on the line.
struct Segment {
  std::uint64_t block = 0;
  std::uint64_t skip = 0;      // selected rows of the block before the segment
  std::uint64_t rows = 0;      // selected rows in it, > 0
  std::uint64_t tape_row = 0;  // of its first row; with a line, that row's number on it
};

// Walks the tape from a row. Seeking costs one step per block before that row. With a line (what is left of a
// resumed epoch), walks the rows on it, and rows are numbers of the line.
class TapeCursor {
 public:
  TapeCursor(const Tape* tape, std::uint64_t first_row, const TapeRuns* line = nullptr);
  // The next segment, cut at row `limit`; false when the cursor stands at `limit` or the end of the tape.
  bool next(std::uint64_t limit, Segment* segment);
  std::uint64_t tape_row() const { return row_; }

 private:
  bool next_on_line(std::uint64_t limit, Segment* segment);

  const Tape* tape_;
  const TapeRuns* line_;
  std::uint64_t place_ = 0;  // in the tape's order of blocks
  std::uint64_t skip_ = 0;   // rows of that block already walked
  std::uint64_t row_ = 0;
  // with a line
  std::size_t run_ = 0;            // that holds row_
  std::uint64_t block_first_ = 0;  // tape row of the block's first row
};

// The file rows of a segment as ascending ranges, appended to `out`.
void segment_ranges(const internal::FilePart& part, const Block& block, const Segment& segment,
                    const TapeRuns* line, std::vector<RowRange>& out);

// Key of the permutation of rows inside the window that begins at a tape row.
std::uint64_t window_key(std::uint64_t seed, std::uint64_t epoch, std::uint64_t first_tape_row);

}  // namespace penstock::plan
