// The plan in numbers and notes: what `loader.plan` and `penstock plan` show. Everything was decided before;
// this only says it.
//
// Thread contract: a pure function; no I/O.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "loader/residency.h"
#include "penstock/plan.h"
#include "plan/sizing.h"
#include "setup/config.h"
#include "setup/epoch_cost.h"

namespace penstock::loader {

// What planning found out, and the engine does not need to know.
struct Findings {
  plan::SizingInput sizing;          // what the window followed from
  std::uint64_t rows_of_files = 0;   // selected or not
  Residency residency;               // of row offsets and labels
  ResidencyInput sizes;              // that it was chosen by
  double seconds_per_row = 0;        // to decode one, from the sample
  double decoded_per_row = 0;        // bytes of the sample's rows
  double distinct_rows = 0;          // that an epoch is expected to hold; with a sampling only
  std::uint32_t threads_wanted = 1;  // as many as fit are in EngineConfig::rest
  BlockTotals totals;                // reading every block once
  ByteCount bytes_of_all_rows = 0;   // the same if every row of the files were selected
  EpochCost epoch;                   // epoch 0 of this rank
  std::array<std::uint64_t, kMemoryTags> memory_by_tag{};
  std::vector<Note> notes;  // of the Dataset
};

Plan describe_plan(const EngineConfig& config, const Findings& found);

}  // namespace penstock::loader
