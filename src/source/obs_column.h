// One obs column of one file, as the loader needs it: fixed-width numbers or category codes by row.
//
// Thread contract: immutable after open; every method is safe from many threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "penstock/status.h"
#include "source/request.h"
#include "source/row_source.h"

namespace penstock {

// What a column is to a batch:
//   category     strings and categoricals: int64 codes into a list of categories, -1 = missing
//   integer      int64
//   floating32   float32, where every file has float32 or less
//   floating64   float64; also nullable integers and booleans, missing = NaN
//   boolean      bool
enum class ObsKind : std::uint8_t { category, integer, floating32, floating64, boolean };

// Values by row. Codes are local to the file (the Dataset maps them to its union of categories).
class ObsColumn {
 public:
  virtual ~ObsColumn() = default;
  virtual ObsKind kind() const = 0;
  virtual RowIndex n_rows() const = 0;
  // Bytes to read and decode rows straight from the file; same rules as RowSource. A column that cannot be
  // read by ranges in bounded memory (plain strings) says streamable() == false and is only usable resident.
  virtual bool streamable() const = 0;
  virtual Status requests(RowRange rows, RequestList& list) const = 0;
  virtual ByteCount scratch_bytes(RowIndex max_rows) const = 0;
  // Writes rows.size() values: category -> int32 codes, integer -> int64, floating32 -> float, floating64 ->
  // double, boolean -> uint8; `out` is exactly that many bytes.
  virtual Status decode(RowRange rows, const Fetched& fetched, Scratch& scratch,
                        std::span<std::byte> out) const = 0;
};

constexpr std::size_t obs_value_bytes(ObsKind kind) {
  switch (kind) {
    case ObsKind::boolean:
      return 1;
    case ObsKind::category:
    case ObsKind::floating32:
      return 4;
    case ObsKind::integer:
    case ObsKind::floating64:
      return 8;
  }
  return 8;
}

}  // namespace penstock
