// Where rows are sampled: which rows of its block a segment delivers, how often, and where on the tape.
//
// Thread contract: belongs to one worker for one block. Memory: the caller's, bytes_needed() of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "setup/config.h"

namespace penstock::loader {

class SegmentCopies {
 public:
  // For blocks of so many selected rows.
  static ByteCount bytes_needed(std::uint64_t rows) { return rows * sizeof(plan::Copies::OfRow); }

  // Weighs the selected rows of the segment's block, whose labels are prepared. `config` has a sampling;
  // `memory` is aligned for 64-bit numbers, and outlives this.
  SegmentCopies(const EngineConfig& config, std::uint64_t epoch, const plan::Segment& segment,
                const plan::TapeRuns* line, const RowLabels::View& labels, std::span<std::byte> memory);

  // Whether the visit has as many copies as the tape says; else the rows weigh something else than they did.
  bool as_planned() const { return as_planned_; }
  // Selected rows of the block.
  std::uint64_t rows() const { return rows_.size(); }
  // Calls visit(tape row) for each copy of the block's row-th selected row that the segment delivers; with a
  // line, its number on the line.
  template <class Visit>
  void each(std::uint64_t row, Visit visit) const {
    const plan::Copies::OfRow& copies = rows_[row];
    if (line_ == nullptr) {
      const std::uint64_t last = std::min(copies.last, segment_.skip + segment_.rows);
      for (std::uint64_t c = std::max(copies.first, segment_.skip); c < last; ++c)
        visit(segment_.tape_row + (c - segment_.skip));
      return;
    }
    for (std::uint64_t c = copies.first; c < copies.last; ++c) {
      const std::uint64_t at = line_->line_row(visit_first_ + c);
      if (at - segment_.tape_row < segment_.rows) visit(at);  // numbers before it wrap around
    }
  }

 private:
  const plan::Segment& segment_;
  const plan::TapeRuns* line_;
  std::uint64_t visit_first_ = 0;  // with a line: tape row of the visit's first copy
  std::span<plan::Copies::OfRow> rows_;
  bool as_planned_ = true;
};

}  // namespace penstock::loader
