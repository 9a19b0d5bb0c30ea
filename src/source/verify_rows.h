// Decodes all rows of a matrix, block by block, as an epoch does, and tells of those that cannot be read.
//
// Thread contract: pure function of an immutable source. Memory: a block's stored bytes and the scratch of
// its decoding, reserved from the budget.
#pragma once

#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/row_source.h"
#include "source/verify_log.h"

namespace penstock {

// Goes on with the next block after one that fails. Only a refusal of the budget is an error.
Status verify_rows(const RowSource& source, VerifyLog& log, MemoryBudget& budget);

}  // namespace penstock
