// DELTA_BINARY_PACKED integers (Encodings.md: DELTA = 5): blocks of differences, less the least of a block,
// bit-packed in miniblocks.
//
// Thread contract: externally synchronised. Borrows the bytes. No allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "parquet/encodings/decode_error.h"

namespace penstock::parquet {

class DeltaReader {
 public:
  DeltaReader() = default;
  // bits: 32 or 64; sums wrap at that width.
  static DecodeError open(std::span<const std::byte> bytes, int bits, DeltaReader* out);

  std::uint64_t total() const { return total_; }  // values that the header says there are
  std::uint64_t left() const { return left_; }
  // The next value, sign-extended; only while left() > 0.
  DecodeError next(std::int64_t* out);
  // After the last value: where the bytes of the encoding end, which is with the last miniblock that holds a
  // value.
  std::size_t end() const;

 private:
  DecodeError varint(std::uint64_t* out);
  DecodeError zigzag(std::uint64_t* out);
  DecodeError block();
  DecodeError miniblock();

  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
  int bits_ = 64;
  std::uint64_t block_values_ = 0, miniblocks_ = 0, per_miniblock_ = 0;
  std::uint64_t total_ = 0, left_ = 0;
  bool first_ = true;
  std::uint64_t value_ = 0, least_ = 0;
  std::size_t widths_at_ = 0;         // of the current block
  std::uint64_t next_miniblock_ = 0;  // of the current block
  std::uint64_t miniblock_left_ = 0;  // values of the current miniblock
  std::size_t packed_at_ = 0;         // of the current miniblock
  std::uint64_t bit_ = 0;             // of the next value in it
  int width_ = 0;
};

}  // namespace penstock::parquet
