// A block of values while a query is evaluated: numbers or three-valued booleans of some consecutive rows.
//
// Thread contract: plain values. Memory: the evaluator reserves kBytesPerValue a row and value before it
// makes any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/types.h"
#include "query/syntax.h"

namespace penstock::query {

// A value, the same while its type is converted, and whether it is missing.
inline constexpr std::size_t kBytesPerValue = 17;

// Three-valued, as pandas' nullable booleans: where missing[i] is 1, truth[i] is 0. `missing` may be empty:
// none is.
struct Truths {
  std::vector<std::uint8_t> truth, missing;

  bool known(std::size_t i) const { return missing.empty() || missing[i] == 0; }
};

// numpy's types of numbers, and booleans among them.
struct NumberType {
  bool boolean = false;
  NumericType type = NumericType::i64;

  bool floating() const { return !boolean && is_floating(type); }
  bool is_unsigned() const { return !boolean && type == NumericType::u64; }
  friend bool operator==(const NumberType&, const NumberType&) = default;
};
const char* name_of(NumberType type);

// `ints` hold integers and booleans (the bits of uint64), `floats` the others, exactly. A missing value of a
// nullable column has missing[i] == 1; of others it is NaN.
struct Numbers {
  std::vector<std::int64_t> ints;
  std::vector<double> floats;
  std::vector<std::uint8_t> missing;
};

// What numpy makes of two types, neither of which is a constant's.
NumberType promote(NumberType a, NumberType b);

// Values of `from` as those of `to`, which holds them (or rounds, as numpy does).
void convert(NumberType from, NumberType to, Numbers& values);

// left op right in `type`, which both were converted to; integers wrap as numpy's do, and divided by zero are
// 0. Values are written to `left`. False: an integer was to be raised to a negative power.
bool calculate(Arithmetic op, NumberType type, Numbers& left, const Numbers& right);
void negate(NumberType type, Numbers& values);

// Number types of the operands: integers compare exactly, others as float64.
Truths compare(Comparison op, NumberType a, const Numbers& left, NumberType b, const Numbers& right);

}  // namespace penstock::query
