// What reading blocks takes, exactly: the very requests that the engine will make, added up without making
// them.
//
// Thread contract: pure functions of an immutable EngineConfig; no I/O. Cost: one pass over the blocks.
#pragma once

#include <vector>

#include "penstock/plan.h"
#include "setup/config.h"

namespace penstock::loader {

struct BlockTotals {
  EpochCost cost;
  std::vector<ByteCount> by_file;  // bytes to read
  // A bound of what any part of a block takes to read: of the largest, and the rest of the last chunks of
  // which it reads a head (rows that are read again take whole chunks).
  ByteCount largest = 0;
  // One pass over each file that is stored by columns and has selected rows; in none of the above.
  EpochCost pass;
};
// Every block of the Dataset, each read once and whole.
Result<BlockTotals> total_blocks(const EngineConfig& config);
// Bytes that the same would read if every row of the files were selected: what a selection is measured by.
Result<ByteCount> bytes_of_all_rows(const EngineConfig& config);

// One epoch of this rank, or what is left of one: every block once, those that a window's or a rank's cut
// divides once per side. Rows that are deferred are read again on top of it. `whole` is what total_blocks()
// said: it saves the pass where this rank reads every block. `by_file`: where the bytes to read of each file
// go.
Result<EpochCost> epoch_cost(const EngineConfig& config, const plan::EpochPart& part,
                             const BlockTotals* whole = nullptr, std::vector<ByteCount>* by_file = nullptr);

}  // namespace penstock::loader
