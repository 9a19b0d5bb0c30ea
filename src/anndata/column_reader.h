// Reads opened columns (frame.h) into memory: rows of a column, its texts, its list of categories.
//
// Everything here is the metadata path: it allocates what it returns. Thread contract: pure functions of
// immutable columns.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "anndata/frame.h"
#include "penstock/column.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/table.h"

namespace penstock::anndata {

// The list of a categorical column.
Result<std::shared_ptr<const Categories>> read_categories(const FrameColumn& column, MemoryBudget& budget);

// How many rows of a column to read at a time: whole chunks, about 64 Ki rows.
std::uint64_t rows_at_once(const FrameColumn& column);

// Rows [first, first + count) without name, categories and dtype. A category code outside its list
// (n_categories long) is `corrupt` and names the row.
Result<Column> read_rows(const FrameColumn& column, std::uint64_t first, std::uint64_t count,
                         std::uint64_t n_categories);

}  // namespace penstock::anndata
