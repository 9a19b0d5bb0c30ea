// The integers that cross interfaces. 64 bits everywhere: more than 2^31 non-zeros in a file is normal.
#pragma once

#include <cstddef>
#include <cstdint>

namespace penstock {

using RowIndex = std::uint64_t;  // a row (cell), counted within a file or over a dataset: the name says which
using ColIndex = std::uint64_t;  // a column (gene)
using ByteOffset = std::uint64_t;  // a position in a file, from its first byte
using ByteCount = std::uint64_t;

// Rows [first, last) of one file.
struct RowRange {
  RowIndex first = 0;
  RowIndex last = 0;
  RowIndex size() const { return last - first; }
  friend bool operator==(const RowRange&, const RowRange&) = default;
};

// Element types of arrays in files and of batches. Little-endian in memory.
enum class NumericType : std::uint8_t { i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64 };

constexpr std::size_t numeric_size(NumericType type) {
  switch (type) {
    case NumericType::i8:
    case NumericType::u8:
      return 1;
    case NumericType::i16:
    case NumericType::u16:
    case NumericType::f16:
    case NumericType::bf16:
      return 2;
    case NumericType::i32:
    case NumericType::u32:
    case NumericType::f32:
      return 4;
    case NumericType::i64:
    case NumericType::u64:
    case NumericType::f64:
      return 8;
  }
  return 0;
}

// numpy's names: "int8", "float32", ..., "bfloat16".
constexpr const char* numeric_name(NumericType type) {
  switch (type) {
    case NumericType::i8:
      return "int8";
    case NumericType::i16:
      return "int16";
    case NumericType::i32:
      return "int32";
    case NumericType::i64:
      return "int64";
    case NumericType::u8:
      return "uint8";
    case NumericType::u16:
      return "uint16";
    case NumericType::u32:
      return "uint32";
    case NumericType::u64:
      return "uint64";
    case NumericType::f16:
      return "float16";
    case NumericType::bf16:
      return "bfloat16";
    case NumericType::f32:
      return "float32";
    case NumericType::f64:
      return "float64";
  }
  return "?";
}

constexpr bool is_floating(NumericType type) {
  return type == NumericType::f16 || type == NumericType::bf16 || type == NumericType::f32 ||
         type == NumericType::f64;
}

}  // namespace penstock
