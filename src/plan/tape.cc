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

TapeCursor::TapeCursor(const Tape* tape, std::uint64_t first_row) : tape_(tape) {
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

std::uint64_t window_key(std::uint64_t seed, std::uint64_t epoch, std::uint64_t first_tape_row) {
  return mix(mix(seed, kWindowStream, epoch), first_tape_row, 0);
}

}  // namespace penstock::plan
