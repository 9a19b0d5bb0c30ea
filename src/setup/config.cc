#include "setup/config.h"

#include "setup/checkpoint.h"

namespace penstock::loader {

// Where rows are sampled the whole block is read, even if a window's cut needs a few of its copies. Which
// rows those are follows from the weights of all rows of the block, and weights may be an obs column that is
// read in the same turn: nobody can know it when the requests are made.
void EngineConfig::rows_to_read(const plan::Segment& segment, const plan::TapeRuns* line,
                                std::vector<RowRange>& out) const {
  const plan::Block& block = blocks[segment.block];
  if (sampling) {
    plan::selected_ranges(parts[block.file], block, 0, block.selected, out);
  } else {
    plan::segment_ranges(parts[block.file], block, segment, line, out);
  }
}

Status EngineConfig::requests_beside(std::uint32_t file, std::span<const RowRange> wanted,
                                     RequestList& list) const {
  obsm.requests(file, wanted, list);
  return labels.requests(file, {wanted.front().first, wanted.back().last}, list);
}

Result<BesideRows> EngineConfig::read_beside(std::uint32_t file, RowRange rows, const Fetched& fetched,
                                             std::span<std::byte> label_scratch,
                                             std::span<std::byte> obsm_scratch, CodecContext& codec) const {
  BesideRows out;
  PENSTOCK_ASSIGN_OR_RETURN(out.labels, labels.prepare(file, rows, fetched, {label_scratch, &codec}));
  out.obsm = obsm.prepare(file, fetched, {obsm_scratch, &codec});
  return out;
}

plan::EpochPart EngineConfig::whole_epoch(std::uint64_t epoch) const {
  plan::EpochRule rule = rule_of(state);
  rule.epoch = epoch;
  return plan::whole_epoch(rule, options.rank, options.world_size);
}

}  // namespace penstock::loader
