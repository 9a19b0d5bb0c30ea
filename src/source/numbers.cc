#include "source/numbers.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

namespace penstock {

float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits} >> 15 << 31;
  const std::uint32_t exponent = bits >> 10 & 31;
  const std::uint32_t fraction = bits & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
  return sign != 0 ? -magnitude : magnitude;
}

float bfloat_to_float(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  const std::uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return static_cast<std::uint16_t>(sign | 0x7c00 | (magnitude >> 13 & 0x3ff) | 0x200);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // rounds to 65536 or more
  if (magnitude < 0x38800000) {                       // subnormal or zero: units of 2^-24
    return static_cast<std::uint16_t>(
        sign | static_cast<std::uint16_t>(std::nearbyint(std::ldexp(std::fabs(value), 24))));
  }
  const std::uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return static_cast<std::uint16_t>(sign | (rounded - 0x38000000) >> 13);
}

std::uint16_t float_to_bfloat(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
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

void to_int64(NumericType type, const std::byte* in, std::span<std::int64_t> out) {
  with_integer(type, [&]<class T>() {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::int64_t>(load<T>(in, i));
  });
}

void to_double(NumericType type, const std::byte* in, std::span<double> out) { to_floating(type, in, out); }
void to_float(NumericType type, const std::byte* in, std::span<float> out) { to_floating(type, in, out); }

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
  if (text.find_first_of(".eni") == std::string::npos) text += ".0";
  return text;
}

std::string integer_text(std::int64_t value, bool is_unsigned) {
  return is_unsigned ? fmt::format("{}", static_cast<std::uint64_t>(value)) : fmt::format("{}", value);
}

}  // namespace penstock
