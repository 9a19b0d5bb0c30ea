// Numbers and booleans that no dictionary holds (Encodings.md): PLAIN is the values as they are,
// little-endian, and booleans as bits with the lowest first. BYTE_STREAM_SPLIT keeps the first bytes of all
// values together, then the second ones, and so on, which compresses better: the float32 1.0 and 2.0 (00 00
// 80 3f and 00 00 00 40) are stored as 00 00 | 00 00 | 80 00 | 3f 40. DELTA_BINARY_PACKED is in delta.cc, RLE
// of booleans in hybrid.cc.
//
// open() checks once that all n_values are there, wherever their size is known before they are read. read()
// and skip() check only that no more values are asked for than there are, and then read without further
// checks.
#include "parquet/encodings/numbers.h"

#include <algorithm>
#include <cstring>

namespace penstock::parquet {

DecodeError NumberReader::open(Encoding encoding, PhysicalType type, std::uint32_t type_length,
                               std::span<const std::byte> values, std::uint64_t n_values, NumberReader* out) {
  *out = NumberReader();
  out->bytes_ = values;
  out->total_ = n_values;
  out->size_ = physical_size(type, type_length);
  if (type == PhysicalType::boolean) {
    if (encoding == Encoding::plain) {
      out->kind_ = Kind::bits;
      return values.size() < (n_values + 7) / 8 ? DecodeError::truncated : DecodeError::ok;
    }
    if (encoding != Encoding::rle) return DecodeError::unsupported;
    out->kind_ = Kind::runs;
    // Of booleans in RLE the length in bytes stands before the runs; dictionary indices and V2 levels have
    // none.
    std::uint32_t length = 0;
    if (n_values == 0) return DecodeError::ok;
    if (values.size() < sizeof(length)) return DecodeError::truncated;
    std::memcpy(&length, values.data(), sizeof(length));
    if (length > values.size() - sizeof(length)) return DecodeError::truncated;
    out->runs_ = HybridReader(values.subspan(sizeof(length), length), 1);
    return DecodeError::ok;
  }
  if (type == PhysicalType::byte_array || out->size_ == 0) return DecodeError::unsupported;
  switch (encoding) {
    case Encoding::plain:
    case Encoding::byte_stream_split:
      out->kind_ = encoding == Encoding::plain ? Kind::plain : Kind::split;
      // A division, since n_values * size might wrap.
      return n_values > values.size() / out->size_ ? DecodeError::truncated : DecodeError::ok;
    case Encoding::delta_binary_packed: {
      if (type != PhysicalType::int32 && type != PhysicalType::int64) return DecodeError::unsupported;
      out->kind_ = Kind::delta;
      if (n_values == 0) return DecodeError::ok;
      const DecodeError error = DeltaReader::open(values, static_cast<int>(out->size_ * 8), &out->delta_);
      if (error != DecodeError::ok) return error;
      return out->delta_.total() < n_values ? DecodeError::truncated : DecodeError::ok;
    }
    default:
      return DecodeError::unsupported;
  }
}

DecodeError NumberReader::read_delta(std::byte* out, std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) {
    std::int64_t value = 0;
    const DecodeError error = delta_.next(&value);
    if (error != DecodeError::ok) return error;
    std::memcpy(out + i * size_, &value, size_);
  }
  return DecodeError::ok;
}

DecodeError NumberReader::read(std::byte* out, std::uint64_t n) {
  if (n > total_ - at_) return DecodeError::truncated;
  const std::uint64_t from = at_;
  at_ += n;
  switch (kind_) {
    case Kind::plain:
      if (n > 0) std::memcpy(out, bytes_.data() + from * size_, n * size_);
      return DecodeError::ok;
    case Kind::split: {
      // One plane per byte of a value; each plane has as many bytes as the page has values.
      // How long a plane is follows from the bytes and not from n_values.
      const std::uint64_t plane = bytes_.size() / size_;
      for (std::size_t b = 0; b < size_; ++b) {
        const std::byte* in = bytes_.data() + b * plane + from;
        for (std::uint64_t i = 0; i < n; ++i) out[i * size_ + b] = in[i];
      }
      return DecodeError::ok;
    }
    case Kind::bits:
      for (std::uint64_t i = 0; i < n; ++i) {
        out[i] = bytes_[(from + i) / 8] >> ((from + i) % 8) & std::byte{1};
      }
      return DecodeError::ok;
    case Kind::runs: {
      constexpr std::uint64_t kPiece = 256;
      std::uint32_t buffer[kPiece];
      for (std::uint64_t i = 0; i < n; i += kPiece) {
        const std::uint64_t part = std::min(kPiece, n - i);
        const DecodeError error = runs_.read(std::span(buffer).first(part));
        if (error != DecodeError::ok) return error;
        for (std::uint64_t k = 0; k < part; ++k) out[i + k] = static_cast<std::byte>(buffer[k] & 1);
      }
      return DecodeError::ok;
    }
    case Kind::delta:
      return read_delta(out, n);
  }
  return DecodeError::unsupported;
}

DecodeError NumberReader::skip(std::uint64_t n) {
  if (n > total_ - at_) return DecodeError::truncated;
  at_ += n;
  if (kind_ == Kind::runs) return runs_.skip(n);
  if (kind_ == Kind::delta) {
    // Values are sums of all before them.
    for (std::uint64_t i = 0; i < n; ++i) {
      std::int64_t value = 0;
      const DecodeError error = delta_.next(&value);
      if (error != DecodeError::ok) return error;
    }
  }
  return DecodeError::ok;
}

}  // namespace penstock::parquet
