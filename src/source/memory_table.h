// A table whose columns are in memory: gene tables from text, and names that no file has.
//
// Thread contract: immutable once made. Memory: the columns' own; what they take is the maker's to reserve.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "source/table.h"

namespace penstock {

// Row i is number start + i * step: names of rows without names. All of them fit into int64.
std::shared_ptr<const TableColumn> numbered_rows(std::uint64_t n, std::string where, std::int64_t start = 0,
                                                 std::int64_t step = 1);

// Columns of one length, each with its name, kind (string, integer, floating) and values. `index`: number of
// the column that names the rows; it is not listed. Without columns, or with index < 0, rows are numbered.
std::shared_ptr<const Table> memory_table(std::vector<Column> columns, std::int64_t index,
                                          std::uint64_t n_rows, std::string where);

// A table that is nothing but the names of its rows.
std::shared_ptr<const Table> names_table(std::shared_ptr<const Column> names, std::string where);

}  // namespace penstock
