// The flat columns of a Parquet file as a table of obs or var (source/table.h).
//
// A table keeps the names of its columns; the footer is parsed again when a column is asked for, so that
// thousands of files cost little. Strings are read row group by row group; numbers and booleans stream with
// the rows, a row group's column chunk at a time.
//
// Thread contract: immutable. Ownership: keeps the file open.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "io/file.h"
#include "parquet/metadata.h"
#include "penstock/memory_budget.h"
#include "source/table.h"

namespace penstock::parquet {

struct TableOptions {
  std::set<std::string> leave_out;  // names of top-level fields: the columns of the matrix
  std::string index;  // the column that names the rows; empty: what pandas' metadata say, else numbers
};

// Columns that are no numbers, booleans or strings are listed and not usable; lists and structs are left out.
std::shared_ptr<const Table> make_table(std::shared_ptr<const File> file, const FileMetadata& metadata,
                                        std::shared_ptr<MemoryBudget> budget, const TableOptions& options);

}  // namespace penstock::parquet
