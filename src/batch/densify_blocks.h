// One sparse row with ascending ids to dense, block of columns by block of columns: scattered into a scratch
// that stays in L1, streamed out, unscattered. Internal to src/batch.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "batch/numeric.h"
#include "batch/stream.h"

namespace penstock::batch::internal {

// The scratch row is used in pieces of this size, so that scattering never misses L1.
constexpr std::size_t kBlockBytes = 16 * 1024;
// Values are expanded to elements so many at a time, into a buffer on the stack.
constexpr std::size_t kChunk = 512;

// Bits is an unsigned integer of the element's size. fill(first, count, buffer) returns where `count` values
// from `first` on lie as elements: the buffer, or the source itself. ids.at(i) is below n_cols and grows with
// i; were it not, the values would be lost, but nothing outside of row and dst is written.
template <class Bits, class Ids, class Fill>
void densify_ascending(const Ids& ids, std::size_t n, const Fill& fill, std::byte* row, std::size_t n_cols,
                       std::byte* dst) {
  constexpr std::size_t kColumns = kBlockBytes / sizeof(Bits);
  // The first block ends where dst has a line boundary; then all do, and only whole lines are streamed.
  const std::size_t skew = reinterpret_cast<std::uintptr_t>(dst) % 64 / sizeof(Bits);
  std::size_t begin = 0;
  std::size_t columns = std::min(n_cols, kColumns - skew);
  std::size_t scattered = 0;  // ids before this one are no longer in the scratch
  const auto flush = [&](std::size_t i) {
    stream_block(dst + begin * sizeof(Bits), row, columns * sizeof(Bits));
    for (; scattered < i; ++scattered) {
      const std::size_t column = ids.at(scattered) - begin;
      if (column < columns) store(row, column, Bits{0});
    }
    begin += columns;
    columns = std::min(n_cols - begin, kColumns);
  };
  alignas(64) std::byte buffer[kChunk * sizeof(Bits)];
  for (std::size_t first = 0; first < n; first += kChunk) {
    const std::size_t end = std::min(n, first + kChunk);
    const std::byte* values = fill(first, end - first, buffer);
    std::size_t i = first;
    while (true) {
      for (; i < end; ++i) {
        const std::size_t column = ids.at(i) - begin;
        if (column >= columns) break;
        store(row, column, load<Bits>(values, i - first));
      }
      if (i == end || columns == 0) break;
      flush(i);
    }
  }
  while (columns > 0) flush(n);
}

// Calls f with an unsigned integer of `size` bytes (1, 2, 4 or 8).
template <class F>
void visit_width(std::size_t size, F&& f) {
  switch (size) {
    case 1:
      return f(std::uint8_t{});
    case 2:
      return f(std::uint16_t{});
    case 4:
      return f(std::uint32_t{});
    default:
      return f(std::uint64_t{});
  }
}

}  // namespace penstock::batch::internal
