// Small writers of what the decoders read, written from Encodings.md and nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace penstock::parquet::testing {

using Bytes = std::vector<std::byte>;

inline void put(Bytes& out, std::uint64_t byte) { out.push_back(static_cast<std::byte>(byte)); }

inline void varint(Bytes& out, std::uint64_t v) {
  for (; v >= 0x80; v >>= 7) put(out, (v & 0x7f) | 0x80);
  put(out, v);
}

inline void zigzag(Bytes& out, std::int64_t v) {
  varint(out, (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63));
}

// Values packed from the least significant bit on; the last byte is filled with zeros.
inline void pack(Bytes& out, const std::vector<std::uint64_t>& values, int width) {
  std::vector<bool> bits;
  for (const std::uint64_t v : values) {
    for (int b = 0; b < width; ++b) bits.push_back((v >> b & 1) != 0);
  }
  for (std::size_t i = 0; i < bits.size(); i += 8) {
    unsigned byte = 0;
    for (std::size_t b = 0; b < 8 && i + b < bits.size(); ++b)
      byte |= static_cast<unsigned>(bits[i + b]) << b;
    put(out, byte);
  }
}

inline void rle_run(Bytes& out, std::uint64_t count, std::uint32_t value, int width) {
  varint(out, count << 1);
  for (int b = 0; b < (width + 7) / 8; ++b) put(out, value >> (8 * b) & 0xff);
}

// A packed run of whole groups of eight: values are padded with zeros.
inline void packed_run(Bytes& out, std::vector<std::uint64_t> values, int width) {
  while (values.size() % 8 != 0) values.push_back(0);
  varint(out, (values.size() / 8) << 1 | 1);
  pack(out, values, width);
}

}  // namespace penstock::parquet::testing
