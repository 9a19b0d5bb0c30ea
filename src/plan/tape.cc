// An example: three blocks of 4, 3 and 5 rows, in the order 2, 0, 1.
//
//     tape rows    0 . . . . 5 . . . 9 . .
//                  | block 2 | blk 0 | b 1|
//
// A cursor that begins at row 6 with the limit 10 gives two segments: rows 1 to 3 of block 0, at tape row 6,
// and row 0 of block 1, at tape row 9. The next call with the limit 12 goes on with rows 1 and 2 of block 1.
// Windows and ranks are limits, so they may cut a block, and both sides of the cut read it.

#include "plan/tape.h"

#include <algorithm>

namespace penstock::plan {
namespace {
// Streams of mix(): one for blocks, one for rows in windows. With one stream for both, the order of rows
// would follow from that of blocks. (The numbers are "blocks" and "window" in ASCII.)
constexpr std::uint64_t kBlockStream = 0x626c6f636b73;
constexpr std::uint64_t kWindowStream = 0x77696e646f77;
}  // namespace

Tape::Tape(const BlockTable* blocks, bool shuffle, std::uint64_t seed, std::uint64_t epoch,
           const Sampling* sampling)
    : blocks_(blocks),
      sampling_(sampling),
      shuffle_(shuffle),
      order_(size(),
             mix(seed, kBlockStream, sampling == nullptr ? epoch : epoch / sampling->epochs_per_pass())) {
  if (sampling_ == nullptr) return;
  copies_.emplace(sampling_, seed, epoch);
  // The epochs of a pass share one order of blocks and one set of copies; each takes its slice.
  rows_before_ = epoch % sampling_->epochs_per_pass() * sampling_->epoch_size();
}

// The tape is not kept either: place p of it is block order_(p), and whether rows come once or by their
// weights is asked when the place is reached. A cursor goes forward only, so that the rows before a place are
// a sum that it carries along.
Tape::Place Tape::at(std::uint64_t place) const {
  const std::uint64_t number = shuffle_ ? order_(place) : place;
  if (sampling_ == nullptr) return {{number}, (*blocks_)[number].selected};
  const Sampling::Visit visit = sampling_->visit(number);
  return {visit, copies_->of(visit)};
}

// Places count rows from the tape's beginning, callers from the epoch's: rows_before() apart.
TapeCursor::TapeCursor(const Tape* tape, std::uint64_t first_row, const TapeRuns* line)
    : tape_(tape), line_(line), row_(first_row) {
  if (tape_->size() > 0) at_ = tape_->at(0);
  if (line_ != nullptr) {
    run_ = first_row < line_->last() ? line_->find(first_row) : line_->size();
    return;
  }
  while (place_ < tape_->size() && first_ + at_.rows <= tape_->rows_before() + row_) step();
}

void TapeCursor::step() {
  first_ += at_.rows;
  at_ = ++place_ < tape_->size() ? tape_->at(place_) : Tape::Place();
}

bool TapeCursor::next(std::uint64_t limit, Segment* segment) {
  if (line_ != nullptr) return next_on_line(limit, segment);
  if (row_ >= limit) return false;
  const std::uint64_t before = tape_->rows_before();
  while (place_ < tape_->size() && first_ + at_.rows <= before + row_) step();
  if (place_ == tape_->size()) return false;
  const std::uint64_t skip = before + row_ - first_;
  const std::uint64_t rows = std::min(at_.rows - skip, limit - row_);
  *segment = {at_.visit.block, skip, rows, row_, at_.visit.number, at_.visit.of};
  row_ += rows;
  return true;
}

// On the line of a resumed epoch a block's rows may be in several runs: those that other ranks have delivered
// are missing. They are one segment all the same, which begins with the first and counts the rows of all, so
// that a block is read once.
bool TapeCursor::next_on_line(std::uint64_t limit, Segment* segment) {
  limit = std::min(limit, line_->last());
  if (row_ >= limit) return false;
  const std::uint64_t before = tape_->rows_before();
  const std::uint64_t row = before + (*line_)[run_].tape + (row_ - (*line_)[run_].line);
  // Runs ascend, so places do, too. There is no test for the end of the tape: each row of the line is on it.
  while (first_ + at_.rows <= row) step();
  *segment = {at_.visit.block, row - first_, 0, row_, at_.visit.number, at_.visit.of};
  // All runs that begin in the block.
  const std::uint64_t end = first_ + at_.rows;
  while (row_ < limit) {
    const TapeRuns::Run& run = (*line_)[run_];
    const std::uint64_t at = before + run.tape + (row_ - run.line);
    if (at >= end) break;
    const std::uint64_t rows = std::min({line_->end(run_) - row_, limit - row_, end - at});
    segment->rows += rows;
    row_ += rows;
    if (row_ == line_->end(run_)) ++run_;
  }
  return true;
}

void segment_ranges(const internal::FilePart& part, const Block& block, const Segment& segment,
                    const TapeRuns* line, std::vector<RowRange>& out) {
  if (line == nullptr) {
    selected_ranges(part, block, segment.skip, segment.rows, out);
    return;
  }
  const std::uint64_t last = segment.tape_row + segment.rows;
  std::size_t run = line->find(segment.tape_row);
  const std::uint64_t block_first = line->tape_row(segment.tape_row) - segment.skip;
  for (std::uint64_t row = segment.tape_row; row < last; ++run) {
    const std::uint64_t rows = std::min(line->end(run), last) - row;
    const std::uint64_t at = (*line)[run].tape + (row - (*line)[run].line);
    selected_ranges(part, block, at - block_first, rows, out);
    row += rows;
  }
}

// By the window's first row and not by its number, which would depend on how the ramp has cut the windows
// before it.
std::uint64_t window_key(std::uint64_t seed, std::uint64_t epoch, std::uint64_t first_tape_row) {
  return mix(mix(seed, kWindowStream, epoch), first_tape_row, 0);
}

}  // namespace penstock::plan
