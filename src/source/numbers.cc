// Conversions that the language has no types for: IEEE binary16 (numpy's float16), bfloat16, and the text of
// numbers. The formats side by side, sign | exponent | fraction:
//
//     binary32    1 | 8 (bias 127) | 23
//     binary16    1 | 5 (bias 15)  | 10      112 = 127 - 15 is between the two biases
//     bfloat16    1 | 8 (bias 127) | 7       the upper half of a binary32
#include "source/numbers.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

namespace penstock {

float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits} >> 15 << 31;
  const std::uint32_t exponent = bits >> 10 & 31;
  const std::uint32_t fraction = bits & 1023;
  // Infinity and NaN have all bits of the exponent set in both formats; the fraction says which, and keeps a
  // NaN's payload.
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  // Subnormal numbers are multiples of 2^-24, all of which a binary32 holds as normal ones.
  const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
  return sign != 0 ? -magnitude : magnitude;
}

float bfloat_to_float(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  const std::uint32_t magnitude = bits & 0x7fffffff;
  // A NaN stays one: 0x200 sets its quiet bit, or a payload in the lower bits alone would leave an infinity.
  if (magnitude > 0x7f800000)
    return static_cast<std::uint16_t>(sign | 0x7c00 | (magnitude >> 13 & 0x3ff) | 0x200);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // rounds to 65536 or more
  if (magnitude < 0x38800000) {                       // subnormal or zero: units of 2^-24
    return static_cast<std::uint16_t>(
        sign | static_cast<std::uint16_t>(std::nearbyint(std::ldexp(std::fabs(value), 24))));
  }
  // To nearest, ties to even: 13 bits go away, so just below half of the last place is added, and one more
  // where the last bit that stays is odd. A carry runs into the exponent, which is right.
  const std::uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return static_cast<std::uint16_t>(sign | (rounded - 0x38000000) >> 13);
}

std::uint16_t float_to_bfloat(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  // The addition below would carry a NaN's fraction into its exponent and sign.
  if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

namespace {

template <class Out>
void to_floating(NumericType type, const std::byte* in, std::span<Out> out) {
  const auto each = [&](auto convert) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<Out>(convert(i));
  };
  switch (type) {
    case NumericType::f16:
      return each([&](std::size_t i) { return half_to_float(load<std::uint16_t>(in, i)); });
    case NumericType::bf16:
      return each([&](std::size_t i) { return bfloat_to_float(load<std::uint16_t>(in, i)); });
    case NumericType::f32:
      return each([&](std::size_t i) { return load<float>(in, i); });
    case NumericType::f64:
      return each([&](std::size_t i) { return load<double>(in, i); });
    default:
      with_integer(type, [&]<class T>() { each([&](std::size_t i) { return load<T>(in, i); }); });
  }
}

}  // namespace

// There and back. The comparison before it keeps the conversion back defined: the largest integers round to a
// power of two that is one beyond their type.
bool exact_in_double(std::int64_t value, bool is_unsigned) {
  if (is_unsigned) {
    const auto bits = static_cast<std::uint64_t>(value);
    const auto rounded = static_cast<double>(bits);
    return rounded < 18446744073709551616.0 && static_cast<std::uint64_t>(rounded) == bits;
  }
  const auto rounded = static_cast<double>(value);
  return rounded < 9223372036854775808.0 && static_cast<std::int64_t>(rounded) == value;
}

void to_int64(NumericType type, const std::byte* in, std::span<std::int64_t> out) {
  with_integer(type, [&]<class T>() {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::int64_t>(load<T>(in, i));
  });
}

void to_double(NumericType type, const std::byte* in, std::span<double> out) { to_floating(type, in, out); }
void to_float(NumericType type, const std::byte* in, std::span<float> out) { to_floating(type, in, out); }

// Eight sums side by side, added up at the end, in an order that depends on n alone.
double sum(NumericType type, const std::byte* in, std::size_t n) {
  // Several at a time, so that additions need not wait for each other.
  constexpr std::size_t kLanes = 8;
  const auto add = [&](auto convert) {
    double lanes[kLanes] = {};
    std::size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      for (std::size_t k = 0; k < kLanes; ++k) lanes[k] += static_cast<double>(convert(i + k));
    }
    for (; i < n; ++i) lanes[i % kLanes] += static_cast<double>(convert(i));
    double total = 0;
    for (const double lane : lanes) total += lane;
    return total;
  };
  switch (type) {
    case NumericType::f16:
      return add([&](std::size_t i) { return half_to_float(load<std::uint16_t>(in, i)); });
    case NumericType::bf16:
      return add([&](std::size_t i) { return bfloat_to_float(load<std::uint16_t>(in, i)); });
    case NumericType::f32:
      return add([&](std::size_t i) { return load<float>(in, i); });
    case NumericType::f64:
      return add([&](std::size_t i) { return load<double>(in, i); });
    default:
      return with_integer(type,
                          [&]<class T>() { return add([&](std::size_t i) { return load<T>(in, i); }); });
  }
}

std::string float_text(double value) {
  std::string text = fmt::format("{}", value);
  // A float shows that it is one: 1 becomes 1.0. An e, inf and nan show it already.
  if (text.find_first_of(".eni") == std::string::npos) text += ".0";
  return text;
}

std::string integer_text(std::int64_t value, bool is_unsigned) {
  return is_unsigned ? fmt::format("{}", static_cast<std::uint64_t>(value)) : fmt::format("{}", value);
}

}  // namespace penstock
