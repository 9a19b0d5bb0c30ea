// A Parquet file, or a pqdata folder, as a file of a Dataset: which layout its matrix has, and the tables
// beside it.
//
// Layouts are told apart by the columns:
//   lists     two list columns, genes and values (OpenOptions::genes, ::expressions): Tahoe-100M, Hugging
//   Face triplets  exactly the flat columns row, col, data, sorted by row: a sparse matrix of pqdata wide
//   numeric flat columns: one per gene (all of them: a dense matrix of pqdata; beside others: matrix="wide")
// Columns that hold the index of a DataFrame (pandas_index.h) are no part of a matrix.
//
// Thread contract: immutable after open. Ownership: keeps its files open.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/file.h"
#include "parquet/gene_table.h"
#include "parquet/metadata.h"
#include "penstock/memory_budget.h"
#include "penstock/options.h"
#include "source/opened_file.h"

namespace penstock::parquet {

// What the files of a Dataset share.
struct OpenContext {
  FileOpener opener;
  std::shared_ptr<MemoryBudget> budget;
  const OpenOptions* options = nullptr;
  std::size_t n_files = 1;  // how many files there are to open: how closely to look at each follows from it
  // The gene table, once the first file of lists has looked for it.
  std::shared_ptr<const GeneTable> genes;
  std::string genes_path;
};

// True for a folder with X.parquet, or layers/ or raw/ of Parquet files, beside obs.parquet.
bool is_pqdata(const std::string& path);

// `path` is a Parquet file or a pqdata folder. OpenOptions::matrix: "X"; "lists", "triplets" or "wide" when a
// file could be several; "layers/NAME" and "raw/X" in folders. Errors: not_found (a matrix, a gene table),
// `unsupported` (what the file is instead), `corrupt`, `budget`.
Result<std::shared_ptr<const OpenedFile>> open_parquet(const std::string& path, OpenContext& context);

}  // namespace penstock::parquet
