#include "query/values.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "source/numbers.h"

// Arithmetic as numpy does it, since that is what DataFrame.query answers with: the types of results follow
// its rules of promotion, integers wrap, and // and % round towards minus infinity where C++ rounds towards
// zero (-7 // 2 is -4 and -7 % 2 is 1).

namespace penstock::query {

namespace {

// Of integers and booleans; what numpy would hold them in.
int bits_of(NumberType t) { return t.boolean ? 1 : static_cast<int>(numeric_size(t.type)) * 8; }
bool is_signed(NumberType t) {
  return !t.boolean && (t.type == NumericType::i8 || t.type == NumericType::i16 ||
                        t.type == NumericType::i32 || t.type == NumericType::i64);
}

NumberType signed_of(int bits) {
  return {false, bits <= 8    ? NumericType::i8
                 : bits <= 16 ? NumericType::i16
                 : bits <= 32 ? NumericType::i32
                              : NumericType::i64};
}

// The smallest float type that numpy takes for integers of `t`.
// int8 + float16 is float16, int16 + float16 is float32, and everything longer is float64: float32 holds all
// of 16 bits, but not of 32.
NumericType float_for(NumberType t) {
  return bits_of(t) <= 8 ? NumericType::f16 : bits_of(t) <= 16 ? NumericType::f32 : NumericType::f64;
}

// bfloat16 is not numpy's; it counts as float32.
NumericType plain(NumericType t) { return t == NumericType::bf16 ? NumericType::f32 : t; }

// A result as its type holds it.
// Floats of all types are computed with as double or float and rounded after each step to their own type, as
// numpy does: float16 has 11 bits.
double rounded(NumericType type, double value) {
  if (type == NumericType::f64) return value;
  const auto narrow = static_cast<float>(value);
  return type == NumericType::f16 ? half_to_float(float_to_half(narrow)) : narrow;
}

// An int8 column plus 100 wraps at 128, in numpy and so here: the lower bits are taken and read with their
// sign.
std::int64_t wrapped(NumericType type, std::uint64_t bits) {
  return with_integer(type, [&]<class T>() { return static_cast<std::int64_t>(static_cast<T>(bits)); });
}

// Missing on either side is missing.
void merge_missing(const std::vector<std::uint8_t>& from, std::vector<std::uint8_t>& to) {
  if (from.empty()) return;
  if (to.empty()) {
    to = from;
    return;
  }
  for (std::size_t i = 0; i < to.size(); ++i) to[i] |= from[i];
}

// numpy's npy_divmod: the quotient is taken of a - mod, which b divides, so that it is near a whole number;
// what is off by the rounding of the division is put right at the end.
template <class T>
T floor_divided(T a, T b) {
  // inf, -inf or NaN, as numpy has it.
  if (b == 0) return a / b;
  T mod = std::fmod(a, b);
  T div = (a - mod) / b;
  if (mod != 0 && (b < 0) != (mod < 0)) div -= 1;
  // A quotient of 0 keeps the sign that the division has: -1 // inf is -1, but 0.0 // -1 is -0.0.
  if (div == 0) return std::copysign(T{0}, a / b);
  const T floor = std::floor(div);
  return div - floor > T{0.5} ? floor + 1 : floor;
}

template <class T>
T modulo(T a, T b) {
  if (b == 0) return std::numeric_limits<T>::quiet_NaN();
  const T mod = std::fmod(a, b);
  // A remainder of 0 has the divisor's sign, as Python's has.
  if (mod == 0) return std::copysign(T{0}, b);
  return (b < 0) != (mod < 0) ? mod + b : mod;
}

template <class T>
T floating(Arithmetic op, T a, T b) {
  switch (op) {
    case Arithmetic::add:
      return a + b;
    case Arithmetic::subtract:
      return a - b;
    case Arithmetic::multiply:
      return a * b;
    case Arithmetic::divide:
      return a / b;
    case Arithmetic::floor_divide:
      return floor_divided(a, b);
    case Arithmetic::modulo:
      return modulo(a, b);
    case Arithmetic::power:
      return std::pow(a, b);
  }
  return a;
}

// T is int64_t or uint64_t; b is not 0.
template <class T>
T divided(Arithmetic op, T a, T b) {
  if constexpr (std::is_signed_v<T>) {
    // The least integer by -1 is beyond the largest, which stops a processor; numpy wraps.
    if (b == -1) return op == Arithmetic::modulo ? 0 : static_cast<T>(0 - static_cast<std::uint64_t>(a));
    const T mod = a % b;
    // C++ rounds towards zero. Where that was upwards, the quotient is one less and the remainder one divisor
    // more.
    const bool down = mod != 0 && (mod < 0) != (b < 0);
    if (op == Arithmetic::modulo) return down ? mod + b : mod;
    return down ? a / b - 1 : a / b;
  } else {
    return op == Arithmetic::modulo ? a % b : a / b;
  }
}

// Squares for the bits of the exponent, from the lowest. Products wrap, as unsigned ones may.
std::uint64_t to_power(std::uint64_t base, std::uint64_t exponent) {
  std::uint64_t out = 1;
  for (; exponent > 0; exponent >>= 1, base *= base) {
    if (exponent & 1) out *= base;
  }
  return out;
}

std::uint64_t integral(Arithmetic op, bool is_unsigned, std::int64_t left, std::int64_t right) {
  const auto a = static_cast<std::uint64_t>(left), b = static_cast<std::uint64_t>(right);
  switch (op) {
    case Arithmetic::add:
      return a + b;
    case Arithmetic::subtract:
      return a - b;
    case Arithmetic::multiply:
      return a * b;
    case Arithmetic::power:
      return to_power(a, b);
    default:
      // What pandas' nullable integers give; where numpy gives inf or NaN the step puts that right
      // (Calculated).
      if (b == 0) return 0;
      return is_unsigned ? divided(op, a, b) : static_cast<std::uint64_t>(divided(op, left, right));
  }
}

template <class T>
bool holds(Comparison op, T a, T b) {
  switch (op) {
    case Comparison::lt:
      return a < b;
    case Comparison::le:
      return a <= b;
    case Comparison::gt:
      return a > b;
    case Comparison::ge:
      return a >= b;
    case Comparison::ne:
      return a != b;
    default:
      return a == b;
  }
}

}  // namespace

const char* name_of(NumberType type) { return type.boolean ? "bool" : numeric_name(type.type); }

NumberType promote(NumberType a, NumberType b) {
  if (a == b) return a;
  if (a.boolean) return b;
  if (b.boolean) return a;
  if (a.floating() || b.floating()) {
    const NumericType x = a.floating() ? plain(a.type) : float_for(a);
    const NumericType y = b.floating() ? plain(b.type) : float_for(b);
    return {false, numeric_size(x) >= numeric_size(y) ? x : y};
  }
  // Of two with the same sign the wider; of different ones the smallest signed type that holds both: int8 and
  // uint8 make int16. No integer holds int64 and uint64, and numpy takes float64.
  if (is_signed(a) == is_signed(b)) return bits_of(a) >= bits_of(b) ? a : b;
  const NumberType with_sign = is_signed(a) ? a : b, without = is_signed(a) ? b : a;
  if (bits_of(with_sign) > bits_of(without)) return with_sign;
  if (bits_of(without) == 64) return {false, NumericType::f64};
  return signed_of(bits_of(without) * 2);
}

void convert(NumberType from, NumberType to, Numbers& values) {
  if (from == to || !to.floating()) return;  // integers that fit are the same bits
  if (from.floating()) {
    if (numeric_size(to.type) >= numeric_size(from.type)) return;
    for (double& v : values.floats) v = rounded(to.type, v);
    return;
  }
  values.floats.resize(values.ints.size());
  for (std::size_t i = 0; i < values.ints.size(); ++i) {
    const std::int64_t v = values.ints[i];
    values.floats[i] =
        rounded(to.type, from.is_unsigned() ? static_cast<double>(static_cast<std::uint64_t>(v))
                                            : static_cast<double>(v));
  }
  // Its memory stays and is counted: a value has room in both forms (kBytesPerValue).
  values.ints.clear();
}

// Results are written over the left side: a block's values are as large as its rows, and each spare copy
// would be reserved as well.
bool calculate(Arithmetic op, NumberType type, Numbers& left, const Numbers& right) {
  const bool power = op == Arithmetic::power;
  // As in pandas: whatever is missing, x ** 0 and 1 ** x are 1.
  std::vector<std::uint8_t> one;
  const std::size_t n = type.floating() ? left.floats.size() : left.ints.size();
  if (power && !(left.missing.empty() && right.missing.empty())) {
    one.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      const bool left_known = left.missing.empty() || left.missing[i] == 0;
      const bool right_known = right.missing.empty() || right.missing[i] == 0;
      const bool base_one = type.floating() ? left.floats[i] == 1 : left.ints[i] == 1;
      const bool zero = type.floating() ? right.floats[i] == 0 : right.ints[i] == 0;
      one[i] = (left_known && base_one) || (right_known && zero) ? 1 : 0;
    }
  }
  merge_missing(right.missing, left.missing);
  for (std::size_t i = 0; i < one.size(); ++i) {
    if (one[i] == 1) left.missing[i] = 0;
  }
  if (type.floating()) {
    for (std::size_t i = 0; i < n; ++i) {
      double& v = left.floats[i];
      if (i < one.size() && one[i] == 1) {
        v = 1;
      } else if (type.type == NumericType::f64) {
        v = floating(op, v, right.floats[i]);
      } else {
        v = rounded(type.type, floating(op, static_cast<float>(v), static_cast<float>(right.floats[i])));
      }
    }
    return true;
  }
  if (power && !type.is_unsigned()) {
    for (std::size_t i = 0; i < n; ++i) {
      // A missing base or exponent is no reason for an error: the row will be missing.
      if (right.ints[i] < 0 && (left.missing.empty() || left.missing[i] == 0)) {
        return false;
      }
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    std::int64_t& v = left.ints[i];
    v = i < one.size() && one[i] == 1
            ? 1
            : wrapped(type.type, integral(op, type.is_unsigned(), v, right.ints[i]));
  }
  return true;
}

void negate(NumberType type, Numbers& values) {
  for (double& v : values.floats) v = -v;
  for (std::int64_t& v : values.ints) v = wrapped(type.type, 0 - static_cast<std::uint64_t>(v));
}

// Four loops, chosen by the types and not row by row: floats; integers of the same kind, signed or not; and
// one of each.
Truths compare(Comparison op, NumberType a, const Numbers& left, NumberType b, const Numbers& right) {
  Truths out;
  const bool doubles = a.floating() || b.floating();
  const std::size_t n = std::max(left.ints.size(), left.floats.size());
  out.truth.resize(n);
  // Where one side has floats both are compared as float64, as numpy does.
  if (doubles) {
    const auto at = [](NumberType t, const Numbers& v, std::size_t i) {
      if (t.floating()) return v.floats[i];
      return t.is_unsigned() ? static_cast<double>(static_cast<std::uint64_t>(v.ints[i]))
                             : static_cast<double>(v.ints[i]);
    };
    for (std::size_t i = 0; i < n; ++i) out.truth[i] = holds(op, at(a, left, i), at(b, right, i)) ? 1 : 0;
  } else if (a.is_unsigned() == b.is_unsigned()) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::int64_t x = left.ints[i], y = right.ints[i];
      out.truth[i] =
          (a.is_unsigned() ? holds(op, static_cast<std::uint64_t>(x), static_cast<std::uint64_t>(y))
                           : holds(op, x, y))
              ? 1
              : 0;
    }
  } else {
    // A number of the unsigned side beyond int64 is larger than all of the other.
    for (std::size_t i = 0; i < n; ++i) {
      const std::int64_t x = left.ints[i], y = right.ints[i];
      const bool large = (a.is_unsigned() ? x : y) < 0;
      out.truth[i] =
          (large ? holds(op, a.is_unsigned() ? 1 : 0, a.is_unsigned() ? 0 : 1) : holds(op, x, y)) ? 1 : 0;
    }
  }
  // Rows with something missing were compared as well; their outcome is put right here, which is cheaper than
  // a branch in each loop.
  out.missing = left.missing;
  merge_missing(right.missing, out.missing);
  for (std::size_t i = 0; i < out.missing.size(); ++i) {
    if (out.missing[i] != 0) out.truth[i] = 0;
  }
  return out;
}

}  // namespace penstock::query
