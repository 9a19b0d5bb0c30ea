// A block's copies are worked out in the thread that decodes it and in memory that it has anyway. Its rows
// are weighed, share_out() turns weights into numbers of copies, and a segment is a stretch of these numbers:
// of a visit with copies 0..9, cut by a window after 4, one segment delivers 0..3 and the next 4..9. Both
// work out all 10 and take their own, so no thread waits for the other one and each finds the same.

#include "setup/segment_copies.h"

#include "base/check.h"
#include "dataset/selection.h"

namespace penstock::loader {

SegmentCopies::SegmentCopies(const EngineConfig& config, std::uint64_t epoch, const plan::Segment& segment,
                             const plan::TapeRuns* line, const RowLabels::View& labels,
                             std::span<std::byte> memory)
    : segment_(segment), line_(line) {
  const plan::Block& block = config.blocks[segment.block];
  const internal::FilePart& part = config.parts[block.file];
  PENSTOCK_CHECK(memory.size() >= bytes_needed(block.selected));
  rows_ = {reinterpret_cast<plan::Copies::OfRow*>(memory.data()), block.selected};
  if (line_ != nullptr) visit_first_ = line_->tape_row(segment.tape_row) - segment.skip;

  // Weights and labels that are given as arrays are in the order of selected rows over all files, so what
  // matters is how many of them come before the block.
  const std::uint64_t position = config.weights.position(block.file, block.first_row, part);
  internal::RowCursor cursor(part);
  cursor.seek(block.first_row);
  for (std::uint64_t i = 0; i < block.selected; ++i)
    rows_[i].first = config.weights.of(labels, cursor.next(), position + i);
  const plan::Copies copies(&*config.sampling, config.options.seed, epoch);
  const plan::Sampling::Visit visit{segment.block, segment.visit, segment.visits};
  copies.share_out(visit, rows_);
  // The tape was laid with the block's weights as they were. If the file has changed since, places in the
  // window would stay empty or be filled twice.
  as_planned_ = rows_.back().last == copies.of(visit);
}

}  // namespace penstock::loader
