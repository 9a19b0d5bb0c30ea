#include "source/numbers.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace penstock {
namespace {

// IEEE binary16 by the definition.
double half_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double magnitude = exponent == 31
                               ? fraction != 0 ? std::nan("") : std::numeric_limits<double>::infinity()
                           : exponent == 0 ? std::ldexp(fraction, -24)
                                           : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(Half, EveryValueWidensExactlyAndComesBack) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = half_to_float(half);
    if (std::isnan(half_value(half))) {
      ASSERT_TRUE(std::isnan(value));
      ASSERT_TRUE(std::isnan(half_to_float(float_to_half(value))));
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), half_value(half));
    ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0);
    ASSERT_EQ(float_to_half(value), half);
  }
}

TEST(Half, RoundsToNearestEven) {
  for (std::uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const double low = half_value(static_cast<std::uint16_t>(bits)),
                 high = half_value(static_cast<std::uint16_t>(bits + 1));
    const auto middle = static_cast<float>((low + high) / 2);
    ASSERT_EQ(float_to_half(middle), bits % 2 == 0 ? bits : bits + 1);
    ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0f)), bits);
    ASSERT_EQ(float_to_half(std::nextafter(middle, 1e9f)), bits + 1);
  }
  EXPECT_EQ(float_to_half(65519.0f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(-1e30f), 0xfc00);
}

TEST(BFloat, RoundsToNearestEven) {
  EXPECT_EQ(bfloat_to_float(0x3f80), 1.0f);
  EXPECT_EQ(float_to_bfloat(1.0f), 0x3f80);
  EXPECT_EQ(float_to_bfloat(std::bit_cast<float>(0x3f808000u)), 0x3f80);
  EXPECT_EQ(float_to_bfloat(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(float_to_bfloat(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_TRUE(std::isnan(bfloat_to_float(float_to_bfloat(std::nanf("")))));
}

TEST(Texts, AreSpelledAsPythonSpellsThem) {
  EXPECT_EQ(float_text(1), "1.0");
  EXPECT_EQ(float_text(0.1), "0.1");
  EXPECT_EQ(float_text(1e-5), "1e-05");
  EXPECT_EQ(float_text(1e22), "1e+22");
  EXPECT_EQ(float_text(-2.5), "-2.5");
  EXPECT_EQ(float_text(std::nan("")), "nan");
  EXPECT_EQ(float_text(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(integer_text(-1, false), "-1");
  EXPECT_EQ(integer_text(-1, true), "18446744073709551615");
}

TEST(Numbers, WhichIntegersADoubleHolds) {
  constexpr std::int64_t kLast = std::int64_t{1} << 53;
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t value : {std::int64_t{0}, kLast, -kLast, kLast + 2, std::int64_t{1} << 62, kLeast})
    EXPECT_TRUE(exact_in_double(value, false)) << value;
  for (const std::int64_t value : {kLast + 1, -kLast - 1, (std::int64_t{1} << 62) + 1, kMost, kLeast + 1})
    EXPECT_FALSE(exact_in_double(value, false)) << value;
  // The bits of uint64: 2^63, 2^63 + 2^11, and 2^63 + 1, 2^64 - 1.
  for (const std::int64_t value : {kLeast, kLeast + 2048}) EXPECT_TRUE(exact_in_double(value, true)) << value;
  for (const std::int64_t value : {kLeast + 1, std::int64_t{-1}, kMost})
    EXPECT_FALSE(exact_in_double(value, true)) << value;
}

}  // namespace
}  // namespace penstock
