// The flat columns of a Parquet file as a table of obs or var (source/table.h).
//
// A table keeps the names of its columns; the footer is parsed again when a column is asked for, so that
// thousands of files cost little, and what a long one says of the table's columns is kept from then on.
// Columns are opened by flat_column.h, read into memory by column_reader.h and streamed by stream_column.h.
//
// Thread contract: immutable. Ownership: keeps the file open.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "io/file.h"
#include "parquet/metadata.h"
#include "penstock/memory_budget.h"
#include "source/table.h"

namespace penstock::parquet {

struct TableOptions {
  std::function<bool(const Leaf&)> leave_out;  // the columns of the matrix; asked by make_table only
  std::string index;  // the column that names the rows; empty: what pandas' metadata say, else numbers
};

// Columns that are no numbers, booleans or strings are listed and not usable; lists and structs are left out.
// `budget` when their names do not fit.
Result<std::shared_ptr<const Table>> make_table(std::shared_ptr<const File> file,
                                                const FileMetadata& metadata,
                                                std::shared_ptr<MemoryBudget> budget,
                                                const TableOptions& options);

}  // namespace penstock::parquet
