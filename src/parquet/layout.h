// Which layout a Parquet file's matrix has, told by its columns and by what the user says of them:
//
//   lists     two list columns, genes and values (OpenOptions::genes, ::expressions): Tahoe-100M, Hugging
//             Face
//   triplets  exactly three flat columns, a row number, a column number and a value, under names that are
//             used for them (row, col, data: a sparse matrix of pqdata), or those that OpenOptions::row,
//             ::col and ::value say
//   wide      numeric flat columns, one per gene: all of them (a dense matrix of pqdata), or those that are
//             no obs (OpenOptions::obs; or matrix="wide")
//
// Columns that hold the index of a DataFrame (pandas_index.h) are no part of a matrix. Three columns of
// integers under other names are refused, with how to name them: opened as cells x 3 genes they would be
// nonsense that nobody notices.
//
// Thread contract: pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "parquet/metadata.h"
#include "penstock/options.h"
#include "penstock/status.h"

namespace penstock::parquet {

struct Triplets {
  std::size_t row = 0, col = 0, value = 0;  // numbers of the columns
  // They are pqdata's: a file of them states the shape of its matrix. Else it may follow from the numbers.
  bool of_pqdata = false;
};

struct MatrixLayout {
  enum class Kind { lists, triplets, wide } kind = Kind::lists;
  std::size_t genes = 0, values = 0;  // lists: numbers of the columns
  Triplets triplets;
  std::vector<std::size_t> wide;  // numbers of the columns
};

// `unsupported`, with the columns and every way to name them; not_found: a column that the options name.
Result<MatrixLayout> find_layout(const FileMetadata& metadata, const OpenOptions& options);

// The columns of triplets, where a file has nothing else.
std::optional<Triplets> find_triplets(const FileMetadata& metadata);
// The columns of a wide matrix: all numbers but the names of the rows and `obs`.
std::vector<std::size_t> wide_columns(const FileMetadata& metadata, const std::vector<std::string>& obs);

}  // namespace penstock::parquet
