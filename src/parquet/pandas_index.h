// The index of a DataFrame in a Parquet file, as the key-value metadata `pandas` describe it.
//
// Thread contract: pure function.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "parquet/metadata.h"

namespace penstock::parquet {

struct PandasIndex {
  std::vector<std::string> columns;  // that hold it, one per level: they name rows and are no data
  // Without a column, row i is number start + i * step: what a RangeIndex is written as.
  std::int64_t start = 0, step = 1;

  bool holds(const std::string& column) const;
};

// 0, 1, 2, ... when there are no such metadata, or they say nothing that fits the file: a range of another
// length is that of a table which was cut or joined after it was made, as pandas itself takes it.
PandasIndex pandas_index(const FileMetadata& metadata);

}  // namespace penstock::parquet
