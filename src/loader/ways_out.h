// What would make a plan fit that its memory cannot hold: found by planning, so that it is true.
//
// Thread contract: pure but for what `fits` does. Cost: up to two seconds of planning.
#pragma once

#include <cstdint>
#include <functional>

#include "penstock/memory_budget.h"
#include "penstock/options.h"
#include "penstock/status.h"

namespace penstock::loader {

// The refusal of a plan with the options to change at its end: "... Use batch_size <= 117, format="csr" or
// memory >= 5.28 GB." The sizing's own guesses of batch_size and memory, which ignore that other blocks and
// windows come with them, give way to what was accepted; where the search takes too long memory's stays. A
// refusal of the Dataset's memory (Option::index_memory) is none of a plan, and stays as it is.
// `n_rows`: of the Dataset; `whole`: the budget of which options.memory is a loader's share, or null; `fits`:
// plans with a budget of its own.
Status with_ways_out(Status refusal, const LoaderOptions& options, std::uint64_t n_rows,
                     const MemoryBudget* whole, const std::function<bool(const LoaderOptions&)>& fits);

}  // namespace penstock::loader
