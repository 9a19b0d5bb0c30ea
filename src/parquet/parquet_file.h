// A Parquet file, or a pqdata folder, as a file of a Dataset: its matrix, whose layout layout.h tells, and
// the tables beside it.
//
// Thread contract: immutable after open. Ownership: keeps its files open.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "parquet/gene_table.h"
#include "penstock/status.h"
#include "source/format.h"

namespace penstock::parquet {

// What the files of a Dataset share.
struct SharedTables {
  // The gene table, once the first file of lists has looked for it.
  std::shared_ptr<const GeneTable> genes;
  // The names of a wide file's columns, and the table of them, shared with the next files that have the same.
  std::shared_ptr<const Column> wide_names;
  std::shared_ptr<const Table> wide_var;
};

// True for a folder with X.parquet, or layers/ or raw/ of Parquet files, beside obs.parquet.
bool is_pqdata(const std::string& path);
// Its matrices: "X", "raw/X", "layers/counts", ...
std::vector<std::string> pqdata_matrices(const std::string& path);

// `path` is a Parquet file or a pqdata folder. OpenOptions::matrix: "X"; "lists", "triplets" or "wide" when a
// file could be several; "layers/NAME" and "raw/X" in folders. Errors: not_found (a matrix, a gene table),
// `unsupported` (what the file is instead), `corrupt`, `budget`.
Result<std::shared_ptr<const OpenedFile>> open_parquet(const std::string& path, const OpenContext& context,
                                                       SharedTables& tables);

}  // namespace penstock::parquet
