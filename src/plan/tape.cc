#include "plan/tape.h"

#include <algorithm>

namespace penstock::plan {
namespace {
// Streams of mix(): one for blocks, one for rows in windows.
constexpr std::uint64_t kBlockStream = 0x626c6f636b73;
constexpr std::uint64_t kWindowStream = 0x77696e646f77;
}  // namespace

Tape::Tape(const BlockTable* blocks, bool shuffle, std::uint64_t seed, std::uint64_t epoch)
    : blocks_(blocks), shuffle_(shuffle), order_(blocks->size(), mix(seed, kBlockStream, epoch)) {}

TapeCursor::TapeCursor(const Tape* tape, std::uint64_t first_row, const TapeRuns* line)
    : tape_(tape), line_(line) {
  if (line_ != nullptr) {
    row_ = first_row;
    run_ = first_row < line_->last() ? line_->find(first_row) : line_->size();
    return;
  }
  const BlockTable& blocks = tape->blocks();
  while (place_ < blocks.size()) {
    const std::uint64_t rows = blocks[tape->block_at(place_)].selected;
    if (row_ + rows > first_row) break;
    row_ += rows;
    ++place_;
  }
  if (place_ < blocks.size()) {
    skip_ = first_row - row_;
    row_ = first_row;
  }
}

bool TapeCursor::next(std::uint64_t limit, Segment* segment) {
  if (line_ != nullptr) return next_on_line(limit, segment);
  const BlockTable& blocks = tape_->blocks();
  if (row_ >= limit || place_ >= blocks.size()) return false;
  const std::uint64_t number = tape_->block_at(place_);
  const std::uint64_t left = blocks[number].selected - skip_;
  const std::uint64_t rows = std::min(left, limit - row_);
  *segment = {number, skip_, rows, row_};
  row_ += rows;
  skip_ += rows;
  if (rows == left) {
    ++place_;
    skip_ = 0;
  }
  return true;
}

bool TapeCursor::next_on_line(std::uint64_t limit, Segment* segment) {
  limit = std::min(limit, line_->last());
  if (row_ >= limit) return false;
  const BlockTable& blocks = tape_->blocks();
  const std::uint64_t tape_row = (*line_)[run_].tape + (row_ - (*line_)[run_].line);
  // Runs ascend, so blocks do, too.
  std::uint64_t number = tape_->block_at(place_);
  while (block_first_ + blocks[number].selected <= tape_row) {
    block_first_ += blocks[number].selected;
    number = tape_->block_at(++place_);
  }
  const std::uint64_t block_end = block_first_ + blocks[number].selected;
  *segment = {number, tape_row - block_first_, 0, row_};
  // All runs that begin in the block.
  while (row_ < limit) {
    const TapeRuns::Run& run = (*line_)[run_];
    const std::uint64_t at = run.tape + (row_ - run.line);
    if (at >= block_end) break;
    const std::uint64_t rows = std::min({line_->end(run_) - row_, limit - row_, block_end - at});
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

std::uint64_t window_key(std::uint64_t seed, std::uint64_t epoch, std::uint64_t first_tape_row) {
  return mix(mix(seed, kWindowStream, epoch), first_tape_row, 0);
}

}  // namespace penstock::plan
