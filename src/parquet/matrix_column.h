// One of the columns that a matrix is made of: its type, and where its pages lie.
//
// Thread contract: a value, immutable once opened.
#pragma once

#include <string>

#include "parquet/metadata.h"
#include "parquet/page.h"
#include "parquet/page_table.h"
#include "penstock/status.h"

namespace penstock::parquet {

struct MatrixColumn {
  std::size_t number = 0;  // in FileMetadata::columns
  Leaf column;
  Compression codec = Compression::none;
  NumericType stored = NumericType::i64;  // what its values are
  PageTable pages;                        // filled by the source
  PageLimits limits;
  double expansion = 1;  // uncompressed bytes per stored one

  // For messages and pages of a row group.
  PageContext context(const std::string& file, std::size_t row_group) const {
    return {codec, column.max_def, column.max_rep, {&file, &column.path, row_group}};
  }
  // "genes int64"
  std::string describe() const;
};

// Type, codec and expansion of a column; pages stay empty. `unsupported`, naming file and column, when a
// matrix cannot be made of it: another shape, a type that is no number, integers where `integers` is set, a
// codec that is not read or that differs between row groups, a row group of more than 2^32 - 1 elements.
Result<MatrixColumn> open_matrix_column(const FileMetadata& metadata, std::size_t number, Leaf::Shape shape,
                                        bool integers);

}  // namespace penstock::parquet
