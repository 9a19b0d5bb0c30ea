// DELTA_BINARY_PACKED (parquet-format, Encodings.md, section "Delta Encoding (DELTA_BINARY_PACKED = 5)"): a
// header, and blocks of differences between neighbours.
//
//     header     values in a block, miniblocks in a block, values in all (varints), the first value (zigzag)
//     block      the least difference (zigzag), a byte of bit width for each miniblock, the miniblocks
//     miniblock  differences less the least one, each in its width, packed with the lowest bits first
//
// A worked example. The values 7, 5, 3, 1, 2, 3, 4, 5 have the differences -2, -2, -2, 1, 1, 1, 1. The least
// is -2, and less of it they are 0, 0, 0, 3, 3, 3, 3, which take 2 bits each:
//
//     80 01 04 08 0e     blocks of 128 values, 4 miniblocks, 8 values in all, the first is 7 (zigzag 14)
//     03 02 00 00 00     least difference -2 (zigzag 3); the first miniblock has 2 bits a value
//     c0 3f 00 00 ...    0 0 0 3 | 3 3 3 0 and zeros: 32 values of 2 bits, 8 bytes
//
// All sums wrap at the width of the column, as the specification asks: the difference of the least and the
// largest int64 does not fit in 64 bits, and it comes out right nevertheless. The reader works on unsigned
// numbers for that reason, since overflow of signed ones is undefined.
//
// Values come one at a time. Such columns are row numbers of triplets, obs columns or lengths of strings; the
// values of a matrix have a dictionary as a rule (indices.cc).
#include "parquet/encodings/delta.h"

#include <algorithm>
#include <cstring>

namespace penstock::parquet {
namespace {
constexpr std::uint64_t kMostBlock = 1 << 20;  // values; writers use 128
}

// At most 10 bytes, which hold 70 bits; the six highest are dropped.
DecodeError DeltaReader::varint(std::uint64_t* out) {
  *out = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (position_ >= bytes_.size()) return DecodeError::truncated;
    const auto byte = static_cast<std::uint8_t>(bytes_[position_++]);
    if (shift < 64) *out |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return DecodeError::ok;
  }
  return DecodeError::bad_header;
}

// 0, 1, 2, 3, 4 stand for 0, -1, 1, -2, 2. What is on the right of ^ is all ones for odd numbers and 0 for
// even ones.
DecodeError DeltaReader::zigzag(std::uint64_t* out) {
  const DecodeError error = varint(out);
  *out = (*out >> 1) ^ (~(*out & 1) + 1);
  return error;
}

DecodeError DeltaReader::open(std::span<const std::byte> bytes, int bits, DeltaReader* out) {
  *out = DeltaReader();
  out->bytes_ = bytes;
  out->bits_ = bits;
  DecodeError error = out->varint(&out->block_values_);
  if (error == DecodeError::ok) error = out->varint(&out->miniblocks_);
  if (error == DecodeError::ok) error = out->varint(&out->total_);
  if (error == DecodeError::ok) error = out->zigzag(&out->value_);
  if (error != DecodeError::ok) return error;
  // The specification: a block is a multiple of 128 values, a miniblock one of 32. The latter makes that
  // every miniblock ends with a whole byte, which miniblock() relies on.
  if (out->block_values_ == 0 || out->block_values_ > kMostBlock || out->block_values_ % 128 != 0 ||
      out->miniblocks_ == 0 || out->miniblocks_ > out->block_values_ ||
      out->block_values_ % out->miniblocks_ != 0 || out->block_values_ / out->miniblocks_ % 32 != 0) {
    return DecodeError::bad_header;
  }
  out->per_miniblock_ = out->block_values_ / out->miniblocks_;
  out->left_ = out->total_;
  out->next_miniblock_ = out->miniblocks_;
  return DecodeError::ok;
}

// Only the widths are known to be there: the miniblocks follow each other without offsets, so that the place
// of one is where the one before has ended.
DecodeError DeltaReader::block() {
  const DecodeError error = zigzag(&least_);
  if (error != DecodeError::ok) return error;
  if (miniblocks_ > bytes_.size() - position_) return DecodeError::truncated;
  widths_at_ = position_;
  position_ += miniblocks_;
  next_miniblock_ = 0;
  return DecodeError::ok;
}

// Opens the next miniblock. Widths of miniblocks behind the last value are in the file, but may be anything
// (the specification says so), and no bytes belong to them: they are never looked at.
DecodeError DeltaReader::miniblock() {
  if (next_miniblock_ == miniblocks_) {
    const DecodeError error = block();
    if (error != DecodeError::ok) return error;
  }
  width_ = static_cast<int>(bytes_[widths_at_ + next_miniblock_]);
  if (width_ > bits_) return DecodeError::bad_width;
  // Bytes of the last miniblock may be left out behind its last value.
  // What must be there are the values that will be asked for: next() then reads without checks.
  const std::uint64_t used = std::min(per_miniblock_, left_);
  const std::uint64_t need = (used * static_cast<std::uint64_t>(width_) + 7) / 8;
  const std::uint64_t full = per_miniblock_ * static_cast<std::uint64_t>(width_) / 8;
  if (need > bytes_.size() - position_) return DecodeError::truncated;
  packed_at_ = position_;
  position_ += std::min<std::uint64_t>(full, bytes_.size() - position_);
  bit_ = 0;
  miniblock_left_ = per_miniblock_;
  ++next_miniblock_;
  return DecodeError::ok;
}

DecodeError DeltaReader::next(std::int64_t* out) {
  if (first_) {
    first_ = false;
  } else {
    if (miniblock_left_ == 0) {
      const DecodeError error = miniblock();
      if (error != DecodeError::ok) return error;
    }
    std::uint64_t delta = 0;
    if (width_ > 0) {
      // Up to 64 bits from any bit on: nine bytes hold them.
      const std::size_t at = packed_at_ + bit_ / 8;
      const int shift = static_cast<int>(bit_ % 8);
      std::uint64_t low = 0;
      std::memcpy(&low, bytes_.data() + at, std::min<std::size_t>(8, bytes_.size() - at));
      delta = low >> shift;
      if (shift > 0 && width_ + shift > 64)
        delta |= static_cast<std::uint64_t>(bytes_[at + 8]) << (64 - shift);
      if (width_ < 64) delta &= (std::uint64_t{1} << width_) - 1;
      bit_ += static_cast<std::uint64_t>(width_);
    }
    // Unsigned, so that it wraps.
    value_ += least_ + delta;
    --miniblock_left_;
  }
  --left_;
  // Sums of int32 columns may have run beyond 32 bits; what counts are the lower ones.
  *out = bits_ == 32 ? std::int64_t{static_cast<std::int32_t>(static_cast<std::uint32_t>(value_))}
                     : static_cast<std::int64_t>(value_);
  return DecodeError::ok;
}

std::size_t DeltaReader::end() const { return position_; }

}  // namespace penstock::parquet
