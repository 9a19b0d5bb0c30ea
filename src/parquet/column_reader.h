// Reads rows of an opened column (flat_column.h) into memory. The metadata path: it allocates what it
// returns, and counts it against the column's budget while it does.
//
// Thread contract: pure functions of immutable columns.
#pragma once

#include <cstdint>

#include "parquet/flat_column.h"
#include "penstock/column.h"
#include "penstock/status.h"

namespace penstock::parquet {

// How many rows to read at a time: whole row groups, about 64 Ki rows.
std::uint64_t rows_at_once(const FlatColumn& column);
// Rows [first, first + count) without name, categories and dtype.
Result<Column> read_rows(const FlatColumn& column, std::uint64_t first, std::uint64_t count);

}  // namespace penstock::parquet
