// One flat column of one row group, decoded row by row, missing values included: what obs columns are read
// with.
//
// Thread contract: pure functions. Memory: numbers go into the memory they are given; strings are allocated,
// and counted before they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "codecs/codec.h"
#include "parquet/metadata.h"
#include "parquet/page.h"
#include "penstock/status.h"

namespace penstock::parquet {

// What decoding numbers takes; sizes follow from the chunk's metadata.
struct FlatMemory {
  std::span<std::byte> page;        // the largest decompressed page: ColumnChunk::uncompressed is enough
  std::span<std::byte> dictionary;  // likewise
  std::span<std::byte> values;      // rows x value_bytes
  std::span<std::uint8_t> levels;   // rows; afterwards 1 where the row has a value
};

// Bytes of a value as decode_numbers writes it: booleans take one.
std::size_t value_bytes(const Leaf& column);

// Row i's value to values[i]; nothing is written for rows without one. `bytes` are the chunk's pages, at file
// offset `at`.
Status decode_numbers(const PageContext& context, const Leaf& column, std::span<const std::byte> bytes,
                      ByteOffset at, std::uint64_t rows, const FlatMemory& memory, CodecContext& codec);

// What the strings of a chunk go to. The first error ends the decoding and is returned.
struct StringSink {
  // Before that many bytes are allocated for the dictionary: a short file can spell a long one.
  std::function<Status(ByteCount bytes)> charge;
  // Each row in order; present is false for rows without a value.
  std::function<Status(std::uint64_t row, bool present, std::string_view value)> row;
};

// Beside what `sink` counts it allocates kStringRowBytes a row.
inline constexpr ByteCount kStringRowBytes = sizeof(std::uint32_t) + 1;  // an index and a level
Status decode_strings(const PageContext& context, const Leaf& column, std::span<const std::byte> bytes,
                      ByteOffset at, std::uint64_t rows, std::span<std::byte> page, CodecContext& codec,
                      const StringSink& sink);

}  // namespace penstock::parquet
