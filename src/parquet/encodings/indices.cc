// Values of a dictionary-coded page: one byte says how many bits an index has, then the indices follow in the
// hybrid (Encodings.md, section "Dictionary Encoding (PLAIN_DICTIONARY = 2 and RLE_DICTIONARY = 8)").
//
// Each value of a single-cell matrix passes through here, so that the work for one value is what the time of
// an epoch depends on. It goes in two steps for a piece of a thousand values: the bits become 32-bit indices
// in a buffer (SIMD, codecs/kernels/bit_unpack.h), then each index is looked up in a table that holds the
// dictionary in its final type, for example gene tokens that were already translated to columns. Between the
// two the largest index is compared with the size of the dictionary once for the whole piece, and not once
// for each value.
//
//     page     03 | 03 88 c6 fa     3 bits an index; a group of eight: 0 1 2 3 4 5 6 7
//     table    4, 9, 17, ...        from the dictionary page
//     out      4, 9, 17, ...
//
// A run of one index does not touch the buffer: its value is looked up once and copied.
#include "parquet/encodings/indices.h"

#include <algorithm>

#include "codecs/kernels/bit_unpack.h"

namespace penstock::parquet {
namespace {

// Unpacked at once: 4 KiB of indices stay in the first-level cache until they are looked up.
// A multiple of eight, so that each part of a run begins with a byte.
constexpr std::uint64_t kPiece = 1024;

// The eight loads of a step do not depend on each other's stores. Written as a plain loop they would, as far
// as the compiler can tell: `out` might overlap `table`.
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
    // A page of nothing but missing values has no values section. A width of 1 makes the reader end at once,
    // where a width of 0 would be zeros without end.
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
      // Of zeros without bits, too: with an empty dictionary even the index 0 is beyond it.
      if (piece.value >= dictionary_size_) return DecodeError::out_of_range;
      same(piece.value, piece.count);
      continue;
    }
    // A long piece in parts of whole groups of eight.
    // The first part is shorter by what is skipped, and with that all parts after it begin at a multiple of
    // kPiece values of the run: a whole number of bytes, whatever the width is.
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

// Sizes of what a matrix or an obs column looks up. Floats pass as integers of their size: they are copied.
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
