#include "loader/segment_copies.h"

#include "base/check.h"
#include "dataset/selection.h"

namespace penstock::loader {

SegmentCopies::SegmentCopies(const EngineConfig& config, std::uint64_t epoch, const plan::Segment& segment,
                             const plan::TapeRuns* line, const Labels::View& labels,
                             std::span<std::byte> memory)
    : segment_(segment), line_(line) {
  const plan::Block& block = config.blocks[segment.block];
  const internal::FilePart& part = config.parts[block.file];
  PENSTOCK_CHECK(memory.size() >= bytes_needed(block.selected));
  rows_ = {reinterpret_cast<plan::Copies::OfRow*>(memory.data()), block.selected};
  if (line_ != nullptr) visit_first_ = line_->tape_row(segment.tape_row) - segment.skip;

  const std::uint64_t position = config.weights.position(block.file, block.first_row, part);
  internal::RowCursor cursor(part);
  cursor.seek(block.first_row);
  for (std::uint64_t i = 0; i < block.selected; ++i)
    rows_[i].first = config.weights.of(labels, cursor.next(), position + i);
  const plan::Copies copies(&*config.sampling, config.options.seed, epoch);
  const plan::Sampling::Visit visit{segment.block, segment.visit, segment.visits};
  copies.share_out(visit, rows_);
  as_planned_ = rows_.back().last == copies.of(visit);
}

}  // namespace penstock::loader
