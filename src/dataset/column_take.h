// Rows of a column in memory, in another order: the var columns of a selection of genes.
//
// Thread contract: pure function. Memory: allocates what it returns.
#pragma once

#include <cstdint>
#include <span>

#include "penstock/column.h"

namespace penstock::internal {

// Row i of the result is row picks[i] of `column`; one out of range is missing.
Column take(Column column, std::span<const std::uint32_t> picks);

}  // namespace penstock::internal
