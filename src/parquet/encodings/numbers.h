// Values of fixed-width types that are not dictionary-coded: PLAIN, DELTA_BINARY_PACKED (int32, int64),
// BYTE_STREAM_SPLIT (all fixed widths), and booleans (PLAIN bits, RLE with a length prefix).
//
// Thread contract: externally synchronised. Borrows the bytes. No allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "parquet/encodings/decode_error.h"
#include "parquet/encodings/delta.h"
#include "parquet/encodings/hybrid.h"
#include "parquet/metadata.h"

namespace penstock::parquet {

class NumberReader {
 public:
  NumberReader() = default;
  // `values`: the value section of a page that holds n_values values (nulls not counted). `unsupported` when
  // the encoding does not go with the type, or is not one of those above.
  static DecodeError open(Encoding encoding, PhysicalType type, std::uint32_t type_length,
                          std::span<const std::byte> values, std::uint64_t n_values, NumberReader* out);

  // The next n values, little-endian, physical_size() bytes each; booleans one byte each, 0 or 1.
  DecodeError read(std::byte* out, std::uint64_t n);
  DecodeError skip(std::uint64_t n);

 private:
  enum class Kind : std::uint8_t { plain, split, bits, runs, delta };
  DecodeError read_delta(std::byte* out, std::uint64_t n);

  Kind kind_ = Kind::plain;
  std::size_t size_ = 0;     // bytes of a value in the file
  std::uint64_t total_ = 0;  // values of the page
  std::uint64_t at_ = 0;     // values taken
  std::span<const std::byte> bytes_;
  HybridReader runs_;
  DeltaReader delta_;
};

}  // namespace penstock::parquet
