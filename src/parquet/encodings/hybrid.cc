// The RLE / bit-packed hybrid (parquet-format, Encodings.md, section "Run Length Encoding / Bit-Packing
// Hybrid (RLE = 3)"). Levels, dictionary indices and booleans are stored in it. The bytes are a row of runs.
// Each begins with a header in ULEB128 (7 bits a byte, the lowest first), whose lowest bit tells two kinds of
// run apart:
//
//     even   header / 2 times the same value, stored once in as many whole bytes as its width takes
//     odd    header / 2 groups of eight values, each group packed into `width` bytes, the lowest bits first
//
// A worked example, for values of 3 bits:
//
//     10 05         header 16: eight times the value 5
//     03 88 c6 fa   header 3: one group of eight, 0 1 2 3 4 5 6 7 (88 = 10'001'000: 0, then 1, then the low
//                   bits of 2)
//
// The length of the whole is not stored: whoever reads knows how many values the page has, and the last group
// of a page may hold up to seven values more than that.
//
// Nothing is unpacked before somebody asks for it. take() says where the packed values lie, in pieces that
// begin with a byte, and callers that want few values or want to look values up (indices.cc) unpack them into
// buffers of their own. Values that are skipped cost one step a run.
#include "parquet/encodings/hybrid.h"

#include <algorithm>
#include <cstring>

#include "codecs/kernels/bit_unpack.h"

namespace penstock::parquet {

// Every run takes at least one byte of the input, so that a loop over runs ends. A run may have no values at
// all: take() passes over such runs.
DecodeError HybridReader::next(HybridRun* out) {
  *out = HybridRun();
  if (position_ >= bytes_.size()) {
    // Zeros need no bits, and a dictionary of one entry has nothing but zeros: some pages leave the runs out.
    if (width_ != 0) return DecodeError::truncated;
    out->count = ~std::uint64_t{0} >> 1;  // zeros without end
    return DecodeError::ok;
  }
  std::uint64_t header = 0;
  for (int shift = 0;; shift += 7) {
    if (position_ >= bytes_.size()) return DecodeError::truncated;
    if (shift > 63) return DecodeError::bad_header;
    const auto byte = static_cast<std::uint8_t>(bytes_[position_++]);
    header |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) break;
  }
  // The bound keeps n * 8 and n * width far away from 64 bits, whatever a damaged header says.
  const std::uint64_t n = header >> 1;
  if (n > (std::uint64_t{1} << 32)) return DecodeError::bad_header;  // more than any page has
  const std::size_t left = bytes_.size() - position_;
  if ((header & 1) == 0) {
    const std::size_t size = (static_cast<std::size_t>(width_) + 7) / 8;
    if (size > left) return DecodeError::truncated;
    std::memcpy(&out->value, bytes_.data() + position_, size);
    // Whole bytes can spell more than the width allows. Levels rely on it that none comes: level_runs.h
    // narrows them to a byte.
    if (width_ < 32 && out->value >> width_ != 0) return DecodeError::out_of_range;
    position_ += size;
    out->count = n;
    return DecodeError::ok;
  }
  // The last group of a page may be cut to the values that there are.
  out->packed = true;
  out->count = n * 8;
  const std::uint64_t size = n * static_cast<std::uint64_t>(width_);
  out->bytes = bytes_.subspan(position_, std::min<std::uint64_t>(size, left));
  position_ += out->bytes.size();
  return DecodeError::ok;
}

DecodeError HybridReader::take(std::uint64_t n, Piece* out) {
  // A loop and not a condition, because of runs without values.
  while (used_ == run_.count) {
    const DecodeError error = next(&run_);
    if (error != DecodeError::ok) return error;
    used_ = 0;
  }
  *out = Piece();
  out->packed = run_.packed;
  out->value = run_.value;
  std::uint64_t count = std::min(n, run_.count - used_);
  if (run_.packed && width_ > 0) {
    // Pieces begin at multiples of 8 values, so that they begin with a byte; what is taken of a piece is
    // counted.
    // If 13 values of a run were taken before, the next piece begins at value 8 and says that 5 of it are to
    // be passed over.
    const std::uint64_t aligned = used_ / 8 * 8;
    const std::uint64_t from = aligned / 8 * static_cast<std::uint64_t>(width_);
    // How many values the bytes really have from here on: the header may promise more (a group that was cut
    // at the end of the page, or a damaged file). Only what is there is handed out, so that nobody reads
    // beyond it.
    const std::uint64_t have =
        from >= run_.bytes.size() ? 0 : (run_.bytes.size() - from) * 8 / static_cast<std::uint64_t>(width_);
    out->skip = used_ - aligned;
    if (have <= out->skip) return DecodeError::truncated;
    count = std::min(count, have - out->skip);
    out->bytes = run_.bytes.data() + from;
    out->readable = static_cast<std::size_t>(bytes_.data() + bytes_.size() - out->bytes);
  }
  out->count = count;
  used_ += count;
  return DecodeError::ok;
}

DecodeError HybridReader::read(std::span<std::uint32_t> out) {
  // Eight more than a piece: up to seven values that were taken before are unpacked once again.
  constexpr std::uint64_t kPiece = 512;
  std::uint32_t buffer[kPiece + 8];
  while (!out.empty()) {
    Piece piece;
    const DecodeError error = take(std::min<std::uint64_t>(out.size(), kPiece), &piece);
    if (error != DecodeError::ok) return error;
    if (!piece.packed || width_ == 0) {
      std::fill_n(out.data(), piece.count, piece.value);
    } else if (piece.skip == 0) {
      internal::bit_unpack(piece.bytes, piece.readable, width_, piece.count, out.data());
    } else {
      internal::bit_unpack(piece.bytes, piece.readable, width_, piece.skip + piece.count, buffer);
      std::copy_n(buffer + piece.skip, piece.count, out.data());
    }
    out = out.subspan(piece.count);
  }
  return DecodeError::ok;
}

DecodeError HybridReader::skip(std::uint64_t n) {
  while (n > 0) {
    Piece piece;
    const DecodeError error = take(n, &piece);
    if (error != DecodeError::ok) return error;
    n -= piece.count;
  }
  return DecodeError::ok;
}

}  // namespace penstock::parquet
