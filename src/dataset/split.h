// Disjoint random parts of a selection: by rows or runs of rows, by groups that stay whole, by classes whose
// shares are kept. See Dataset::split for what is promised.
//
// The parts are functions of the selection, the values of the columns, the fractions and the seed; not of
// memory, of threads or of the files' format. Results are part of what users publish: never change them for
// the same arguments. Thread contract: pure functions of immutable parts. Memory: what they take is reserved
// under `obs` while they run; the parts' bitmaps stay reserved under `index`.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dataset/row_keys.h"
#include "dataset/selection.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::internal {

// `unit`: rows of a run; 0: single rows below 1 M rows, else runs of 256.
Result<std::vector<Parts>> split(std::span<const FilePart> parts, std::span<const double> fractions,
                                 std::uint64_t seed, std::uint64_t unit, MemoryBudget& budget);
// Each class is divided by the fractions, to rounding; `strata` is of these parts.
Result<std::vector<Parts>> split_strata(std::span<const FilePart> parts, std::span<const double> fractions,
                                        std::uint64_t seed, const RowKeys& strata, MemoryBudget& budget);
// Groups stay whole; `strata` (null: none) are balanced as well as that allows.
Result<std::vector<Parts>> split_groups(std::span<const FilePart> parts, std::span<const double> fractions,
                                        std::uint64_t seed, const RowKeys& groups, const RowKeys* strata,
                                        MemoryBudget& budget);

}  // namespace penstock::internal
