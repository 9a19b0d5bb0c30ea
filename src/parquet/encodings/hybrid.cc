#include "parquet/encodings/hybrid.h"

#include <algorithm>
#include <cstring>

#include "codecs/kernels/bit_unpack.h"

namespace penstock::parquet {

DecodeError HybridReader::next(HybridRun* out) {
  *out = HybridRun();
  if (position_ >= bytes_.size()) {
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
  const std::uint64_t n = header >> 1;
  if (n > (std::uint64_t{1} << 32)) return DecodeError::bad_header;  // more than any page has
  const std::size_t left = bytes_.size() - position_;
  if ((header & 1) == 0) {
    const std::size_t size = (static_cast<std::size_t>(width_) + 7) / 8;
    if (size > left) return DecodeError::truncated;
    std::memcpy(&out->value, bytes_.data() + position_, size);
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
    const std::uint64_t aligned = used_ / 8 * 8;
    const std::uint64_t from = aligned / 8 * static_cast<std::uint64_t>(width_);
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
