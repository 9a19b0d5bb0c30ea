// Reads all of a table, as obs_names, ds.obs[...] and an epoch with labels do, and tells of what cannot be
// read.
//
// Thread contract: pure function of an immutable table. Memory: the categories of one column, from the
// budget, and about 64 Ki rows.
#pragma once

#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/table.h"
#include "source/verify_log.h"

namespace penstock {

// Only a refusal of the budget is an error.
Status verify_table(const Table& table, VerifyLog& log, MemoryBudget& budget);

}  // namespace penstock
