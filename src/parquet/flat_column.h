// One flat column of a Parquet file, opened: its type, and where its chunks lie. What reads it is apart:
// column_reader.h into memory, stream_column.h with the rows of blocks.
//
// Thread contract: immutable once opened. Ownership: keeps the file open.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/file.h"
#include "parquet/group_starts.h"
#include "parquet/metadata.h"
#include "parquet/page.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::parquet {

// --- what columns there are ---

bool is_string(const Leaf& column);
inline bool is_integer(const Leaf& column) {
  return column.type == PhysicalType::int32 || column.type == PhysicalType::int64;
}
// The type that the values of a column of numbers have: int32 with the logical type uint8 is u8.
NumericType number_type(const Leaf& column);
// The type that its integers are stored in: i32, u32 or i64.
NumericType stored_integer_type(const Leaf& column);

// --- one of them ---

struct FlatColumn {
  struct Chunk {
    ByteOffset offset = 0;
    ByteCount bytes = 0;         // to read
    ByteCount uncompressed = 0;  // no page is larger
  };
  std::shared_ptr<const File> file;
  std::shared_ptr<MemoryBudget> budget;
  Leaf column;
  Compression codec = Compression::none;
  GroupStarts groups;         // by rows
  std::vector<Chunk> chunks;  // of each row group
  bool may_be_null = false;
  std::string where, dtype;  // "a.parquet: drug"; as in penstock::Column
  Reservation held;          // of what is kept here, under `obs`

  RowIndex n_rows() const { return groups.total(); }
  // Whether missing values have to be said apart: missing floats are NaN.
  bool masked() const {
    return may_be_null && (column.type == PhysicalType::boolean || is_string(column) || is_integer(column));
  }
  PageContext context(std::size_t group) const {
    return {codec, column.max_def, column.max_rep, {&file->label(), &column.path, group}};
  }
};

// `metadata` has statistics. `unsupported` for types and codecs that are not read; `corrupt` when a chunk has
// another number of values than its row group has rows.
Result<std::shared_ptr<const FlatColumn>> open_flat_column(std::shared_ptr<const File> file,
                                                           std::shared_ptr<MemoryBudget> budget,
                                                           const FileMetadata& metadata, const Leaf& column,
                                                           std::string where);

}  // namespace penstock::parquet
