// One row of a tile -> compact row: ids narrowed, checked and sorted, values converted to the output type and
// packed into the narrowest class that reproduces them.
//
// Thread contract: a RowEncoder belongs to one worker. Memory: borrows a buffer of bytes_needed(), aligned as
// a Carver wants it; no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/carver.h"
#include "base/types.h"
#include "batch/compact_row.h"
#include "penstock/status.h"
#include "source/row_source.h"

namespace penstock::loader {

// What encoding came to, for stats().
struct EncodeCounts {
  std::uint64_t rounded = 0;      // values that the output type does not hold exactly
  std::uint64_t rows_sorted = 0;  // rows whose ids were not strictly ascending
};

// Views into the encoder's buffer or the tile, valid until its next encode() and as long as the tile.
struct EncodedRow {
  const std::byte* ids = nullptr;  // u16 or u32 (RecordLayout::id_bytes)
  const std::byte* values = nullptr;
  std::uint32_t n = 0;
  batch::ValueClass cls = batch::ValueClass::wide;
  ByteCount value_bytes = 0;  // of all values
};

class RowEncoder {
 public:
  static ByteCount bytes_needed(std::uint64_t longest_row, ColIndex n_cols, NumericType output);

  RowEncoder(std::span<std::byte> buffer, std::uint64_t longest_row, ColIndex n_cols, NumericType output);

  // Row `i` of the tile. `corrupt`, naming row and element, for an id out of range.
  Status encode(const CsrTile& tile, std::size_t i, const std::string& label, EncodedRow* out);

  EncodeCounts& counts() { return counts_; }

 private:
  batch::ValueClass compact_narrow(const std::byte* values, NumericType type, std::size_t n,
                                   const std::byte** out);
  template <class Id>
  Status encode_as(const CsrTile& tile, std::size_t i, const std::string& label, EncodedRow* out);

  struct Parts {
    std::span<std::byte> ids;        // as they lie in the window
    std::span<std::byte> raw;        // values in the file's type, when they must be reordered
    std::span<std::byte> converted;  // values in the output type
    std::span<std::byte> packed;     // values as they lie in the window
    std::span<std::byte> sort;       // scratch of sort_row
  };
  static Parts parts(Carver& memory, std::uint64_t longest_row, ColIndex n_cols, NumericType output);

  ColIndex n_cols_;
  NumericType output_;
  std::uint64_t longest_;
  Parts parts_;
  EncodeCounts counts_;
};

}  // namespace penstock::loader
