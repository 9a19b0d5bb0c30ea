// Reads rows by position outside any loader: for a look at the data and for tests.
//
// Thread contract: pure function of immutable parts. Memory: what it returns twice over, and one block's
// bytes and scratch, reserved from `budget`.
#pragma once

#include <cstdint>
#include <span>

#include "dataset/dataset_impl.h"
#include "penstock/dataset.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::internal {

// Positions in any order, repeated or not. Columns sorted, duplicates summed in the stored type; files of
// different types together become float64. A column outside the matrix is `corrupt` and names row and
// element.
Result<CsrMatrix> read_rows(std::span<const FilePart> parts, std::uint64_t n_cols,
                            std::span<const std::int64_t> positions, MemoryBudget& budget);

}  // namespace penstock::internal
