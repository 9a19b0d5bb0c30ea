// The index of a DataFrame in a Parquet file, as the key-value metadata `pandas` describe it.
//
// Thread contract: pure functions. Memory: bounded by the description's own size.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace penstock::parquet {

struct PandasIndex {
  // The columns that hold it, one per level: they name rows and are no data.
  std::set<std::string, std::less<>> columns;
  // Without a column, row i is number start + i * step: what a RangeIndex is written as.
  std::int64_t start = 0, step = 1;

  bool holds(std::string_view column) const { return columns.contains(column); }
};

// 0, 1, 2, ... when the description says nothing that fits the file: a range of another length is that of a
// table which was cut or joined after it was made, as pandas itself takes it. Of wide files the description
// is long: it is read once, and nothing else of it is kept.
PandasIndex pandas_index(std::string_view json, std::uint64_t n_rows);

// Whether a column is the index by its name alone: what pandas and dask call an index without a name. Other
// tools that rewrite such a file keep the column and drop the description.
bool is_index_name(std::string_view column);

}  // namespace penstock::parquet
