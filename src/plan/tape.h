// The tape: the epoch's order of blocks, laid end to end: a sequence of all selected rows. A pure function of
// (seed, epoch, position): a keyed permutation of block numbers, or file order. No array of row numbers
// exists. With a Sampling a row of the tape is a copy of a row of the files, a block may be visited several
// times or not at all, and the epoch is a slice of the tape of its pass.
//
// Thread contract: Tape is immutable; a TapeCursor belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <optional>

#include "base/permutation.h"
#include "plan/blocks.h"
#include "plan/lineage.h"
#include "plan/sampling.h"

namespace penstock::plan {

class Tape {
 public:
  // `sampling`: nullptr where every row comes once.
  Tape(const BlockTable* blocks, bool shuffle, std::uint64_t seed, std::uint64_t epoch,
       const Sampling* sampling = nullptr);

  // Places of the tape's order: of blocks, or of visits.
  std::uint64_t size() const { return sampling_ == nullptr ? blocks_->size() : sampling_->n_visits(); }
  struct Place {
    Sampling::Visit visit;
    std::uint64_t rows = 0;  // that come with it
  };
  Place at(std::uint64_t place) const;
  // Rows at the places before the epoch's first.
  std::uint64_t rows_before() const { return rows_before_; }

 private:
  const BlockTable* blocks_;
  const Sampling* sampling_;
  bool shuffle_;
  KeyedPermutation order_;
  std::optional<Copies> copies_;
  std::uint64_t rows_before_ = 0;
};

// A block, or the part of it on one side of a cut. With a line, of that part the rows that are on the line.
// With a Sampling rows are copies, of one visit.
struct Segment {
  std::uint64_t block = 0;
  std::uint64_t skip = 0;      // selected rows of the block before the segment
  std::uint64_t rows = 0;      // selected rows in it, > 0
  std::uint64_t tape_row = 0;  // of its first row; with a line, that row's number on it
  std::uint32_t visit = 0, visits = 1;
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

  void step();  // to the next place

  const Tape* tape_;
  const TapeRuns* line_;
  std::uint64_t place_ = 0;  // in the tape's order
  Tape::Place at_;           // what is there; nothing behind the last
  std::uint64_t first_ = 0;  // rows at the places before it
  std::uint64_t row_ = 0;
  std::size_t run_ = 0;  // with a line: that holds row_
};

// The file rows of a segment as ascending ranges, appended to `out`. Without a Sampling.
void segment_ranges(const internal::FilePart& part, const Block& block, const Segment& segment,
                    const TapeRuns* line, std::vector<RowRange>& out);

// Key of the permutation of rows inside the window that begins at a tape row.
std::uint64_t window_key(std::uint64_t seed, std::uint64_t epoch, std::uint64_t first_tape_row);

}  // namespace penstock::plan
