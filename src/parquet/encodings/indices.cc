#include "parquet/encodings/indices.h"

#include <algorithm>

#include "codecs/kernels/bit_unpack.h"

namespace penstock::parquet {
namespace {

// Unpacked at once: 4 KiB of indices stay in the first-level cache until they are looked up.
constexpr std::uint64_t kPiece = 1024;

template <class T>
void look_up(const std::uint32_t* index, std::uint64_t n, const T* table, T* out) {
  std::uint64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const T a = table[index[i]], b = table[index[i + 1]], c = table[index[i + 2]], d = table[index[i + 3]];
    const T e = table[index[i + 4]], f = table[index[i + 5]], g = table[index[i + 6]],
            h = table[index[i + 7]];
    out[i] = a;
    out[i + 1] = b;
    out[i + 2] = c;
    out[i + 3] = d;
    out[i + 4] = e;
    out[i + 5] = f;
    out[i + 6] = g;
    out[i + 7] = h;
  }
  for (; i < n; ++i) out[i] = table[index[i]];
}

}  // namespace

DecodeError IndexReader::open(std::span<const std::byte> values, std::uint32_t dictionary_size,
                              IndexReader* out) {
  out->dictionary_size_ = dictionary_size;
  if (values.empty()) {
    out->runs_ = HybridReader({}, 1);  // ends at once
    return DecodeError::ok;
  }
  const auto width = static_cast<std::uint8_t>(values[0]);
  if (width > 32) return DecodeError::bad_width;
  out->runs_ = HybridReader(values.subspan(1), width);
  return DecodeError::ok;
}

// Calls f(indices, n) for packed pieces and same(index, n) for runs; every index is below the dictionary's
// size.
template <class F, class G>
DecodeError IndexReader::for_each(std::uint64_t n, F&& f, G&& same) {
  std::uint32_t buffer[kPiece + 8];
  while (n > 0) {
    HybridReader::Piece piece;
    const DecodeError error = runs_.take(n, &piece);
    if (error != DecodeError::ok) return error;
    n -= piece.count;
    if (!piece.packed || runs_.width() == 0) {
      if (piece.value >= dictionary_size_) return DecodeError::out_of_range;
      same(piece.value, piece.count);
      continue;
    }
    // A long piece in parts of whole groups of eight.
    const std::byte* from = piece.bytes;
    std::uint64_t left = piece.count, skip = piece.skip;
    std::size_t readable = piece.readable;
    while (left > 0) {
      const std::uint64_t part = std::min(left, kPiece - skip);
      const std::uint32_t most = internal::bit_unpack(from, readable, runs_.width(), skip + part, buffer);
      // Too high may be one that was skipped: only those asked for count.
      if (most >= dictionary_size_ &&
          std::any_of(buffer + skip, buffer + skip + part,
                      [this](std::uint32_t index) { return index >= dictionary_size_; })) {
        return DecodeError::out_of_range;
      }
      f(buffer + skip, part);
      from += kPiece / 8 * static_cast<std::size_t>(runs_.width());
      readable -= std::min(readable, kPiece / 8 * static_cast<std::size_t>(runs_.width()));
      left -= part;
      skip = 0;
    }
  }
  return DecodeError::ok;
}

template <class T>
DecodeError IndexReader::gather(const T* table, T* out, std::uint64_t n) {
  return for_each(
      n,
      [&](const std::uint32_t* indices, std::uint64_t count) {
        look_up(indices, count, table, out);
        out += count;
      },
      [&](std::uint32_t index, std::uint64_t count) {
        std::fill_n(out, count, table[index]);
        out += count;
      });
}

template DecodeError IndexReader::gather(const std::uint8_t*, std::uint8_t*, std::uint64_t);
template DecodeError IndexReader::gather(const std::uint16_t*, std::uint16_t*, std::uint64_t);
template DecodeError IndexReader::gather(const std::uint32_t*, std::uint32_t*, std::uint64_t);
template DecodeError IndexReader::gather(const std::uint64_t*, std::uint64_t*, std::uint64_t);

DecodeError IndexReader::read(std::span<std::uint32_t> out) {
  std::uint32_t* to = out.data();
  return for_each(
      out.size(),
      [&](const std::uint32_t* indices, std::uint64_t count) { to = std::copy_n(indices, count, to); },
      [&](std::uint32_t index, std::uint64_t count) { to = std::fill_n(to, count, index); });
}

DecodeError IndexReader::skip(std::uint64_t n) { return runs_.skip(n); }

}  // namespace penstock::parquet
