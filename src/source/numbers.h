// Numbers as files store them, turned into the few types that metadata is kept in. For metadata only: the
// values of a matrix are converted by src/batch.
//
// Thread contract: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/load.h"
#include "base/types.h"

namespace penstock {

// IEEE binary16 and the upper half of a binary32, exactly.
float half_to_float(std::uint16_t bits);
float bfloat_to_float(std::uint16_t bits);
// Rounds to nearest even, as numpy does.
std::uint16_t float_to_half(float value);
std::uint16_t float_to_bfloat(float value);

constexpr bool is_integer(NumericType type) { return !is_floating(type); }

// f.template operator()<T>() with the C++ type of an integer type; uint8_t for a floating type, which callers
// have refused before.
template <class F>
decltype(auto) with_integer(NumericType type, F&& f) {
  switch (type) {
    case NumericType::i8:
      return f.template operator()<std::int8_t>();
    case NumericType::i16:
      return f.template operator()<std::int16_t>();
    case NumericType::i32:
      return f.template operator()<std::int32_t>();
    case NumericType::i64:
      return f.template operator()<std::int64_t>();
    case NumericType::u16:
      return f.template operator()<std::uint16_t>();
    case NumericType::u32:
      return f.template operator()<std::uint32_t>();
    case NumericType::u64:
      return f.template operator()<std::uint64_t>();
    default:
      return f.template operator()<std::uint8_t>();
  }
}

// Whether an integer (`is_unsigned`: the bits of a uint64) is a double.
bool exact_in_double(std::int64_t value, bool is_unsigned);

// out.size() elements of `in`. Integers of any width (uint64 keeps its bits); floats must not be asked for.
void to_int64(NumericType type, const std::byte* in, std::span<std::int64_t> out);
// Any type, rounded to nearest.
void to_double(NumericType type, const std::byte* in, std::span<double> out);
void to_float(NumericType type, const std::byte* in, std::span<float> out);

// The sum of n values of any type, in double: exact for counts. The order of the additions is fixed, so the
// same values give the same sum.
double sum(NumericType type, const std::byte* in, std::size_t n);

// Python's repr of a float: "1.0", "0.1", "1e-05", "nan".
std::string float_text(double value);
// An integer as text; `is_unsigned`: the bits are a uint64.
std::string integer_text(std::int64_t value, bool is_unsigned);

}  // namespace penstock
