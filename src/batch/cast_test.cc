// Facts of numpy 2.4.6 on x86-64 (astype of one element), produced by hand.
#include "batch/cast.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

namespace penstock::batch {
namespace {

template <class T>
std::uint64_t fnv(const std::vector<T>& values) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < values.size() * sizeof(T); ++i) {
    hash = (hash ^ reinterpret_cast<const unsigned char*>(values.data())[i]) * 0x100000001b3;
  }
  return hash;
}

template <class F>
void float_to_int() {
  EXPECT_EQ(cast<std::int8_t>(F(200)), -56);
  EXPECT_EQ(cast<std::int8_t>(F(-129)), 127);
  EXPECT_EQ(cast<std::int8_t>(F(3e9)), 0);
  EXPECT_EQ(cast<std::int8_t>(F(NAN)), 0);
  EXPECT_EQ(cast<std::uint8_t>(F(-1)), 255);
  EXPECT_EQ(cast<std::uint8_t>(F(-1.9)), 255);
  EXPECT_EQ(cast<std::uint8_t>(F(-300)), 212);
  EXPECT_EQ(cast<std::uint8_t>(F(256)), 0);
  EXPECT_EQ(cast<std::uint8_t>(F(2147483520.)), 128);
  EXPECT_EQ(cast<std::int16_t>(F(-40000)), 25536);
  EXPECT_EQ(cast<std::int16_t>(F(65535)), -1);
  EXPECT_EQ(cast<std::uint16_t>(F(-40000)), 25536);
  EXPECT_EQ(cast<std::uint16_t>(F(-1)), 65535);
  EXPECT_EQ(cast<std::int32_t>(F(3e9)), INT32_MIN);
  EXPECT_EQ(cast<std::int32_t>(F(INFINITY)), INT32_MIN);
  EXPECT_EQ(cast<std::int32_t>(F(NAN)), INT32_MIN);
  EXPECT_EQ(cast<std::int32_t>(F(-2147483648.)), INT32_MIN);
  EXPECT_EQ(cast<std::int32_t>(F(2147483520.)), 2147483520);
  EXPECT_EQ(cast<std::uint32_t>(F(-1)), 4294967295U);
  EXPECT_EQ(cast<std::uint32_t>(F(3e9)), 3000000000U);
  EXPECT_EQ(cast<std::uint32_t>(F(-3e9)), 1294967296U);
  EXPECT_EQ(cast<std::uint32_t>(F(1e10)), 1410065408U);
  EXPECT_EQ(cast<std::uint32_t>(F(NAN)), 0U);
  EXPECT_EQ(cast<std::int64_t>(F(1e20)), INT64_MIN);
  EXPECT_EQ(cast<std::int64_t>(F(-1e20)), INT64_MIN);
  EXPECT_EQ(cast<std::int64_t>(F(-5e9)), -5000000000);
  EXPECT_EQ(cast<std::uint64_t>(F(-5e9)), 18446744068709551616U);
  EXPECT_EQ(cast<std::uint64_t>(F(9223372036854775808.)), 9223372036854775808U);
  EXPECT_EQ(cast<std::uint64_t>(F(1e20)), 0U);
  EXPECT_EQ(cast<std::uint64_t>(F(INFINITY)), 0U);
  EXPECT_EQ(cast<std::uint64_t>(F(-INFINITY)), 9223372036854775808U);
  EXPECT_EQ(cast<std::uint64_t>(F(NAN)), 9223372036854775808U);
}

TEST(Cast, float_to_int) {
  float_to_int<float>();
  float_to_int<double>();
  EXPECT_EQ(cast<std::int32_t>(-2147483648.9), INT32_MIN);
  EXPECT_EQ(cast<std::uint64_t>(1e19), 10000000000000000000U);
  EXPECT_EQ(cast<std::uint16_t>(Half{0xbf9a}), 65535);  // -1.9
  EXPECT_EQ(cast<std::int32_t>(Half{0x7c00}), INT32_MIN);
}

TEST(Cast, int_to_float) {
  const auto bits = [](auto v) { return std::bit_cast<std::uint32_t>(cast<float>(v)); };
  EXPECT_EQ(bits(std::int64_t{16777217}), 0x4b800000U);
  EXPECT_EQ(bits(std::int64_t{16777219}), 0x4b800002U);
  EXPECT_EQ(bits(INT64_MAX), 0x5f000000U);
  EXPECT_EQ(bits(UINT64_MAX), 0x5f800000U);
  EXPECT_EQ(bits((std::uint64_t{1} << 63) + 1), 0x5f000000U);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(cast<double>(UINT64_MAX)), 0x43f0000000000000U);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(cast<double>((std::uint64_t{1} << 53) + 1)), 0x4340000000000000U);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(cast<double>((std::uint64_t{1} << 63) + 1025)), 0x43e0000000000001U);
}

TEST(Cast, int_to_half) {
  const std::int32_t in[] = {2049, 2051, 65519, 65520, 65535, 70000, -70000, 16777217, -1};
  const std::uint16_t out[] = {26624, 26626, 31743, 31744, 31744, 31744, 64512, 31744, 48128};
  for (std::size_t i = 0; i < std::size(in); ++i) EXPECT_EQ(cast<Half>(in[i]).bits, out[i]) << in[i];
}

TEST(Cast, double_to_float) {
  const double in[] = {1e39, -1e39, 1e-46, 0.1, -0.0, 16777217.0};
  const std::uint32_t out[] = {0x7f800000, 0xff800000, 0, 0x3dcccccd, 0x80000000, 0x4b800000};
  for (std::size_t i = 0; i < std::size(in); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(cast<float>(in[i])), out[i]) << in[i];
  }
}

TEST(Cast, int_to_int_wraps) {
  EXPECT_EQ(cast<std::uint8_t>(std::int32_t{-1}), 255);
  EXPECT_EQ(cast<std::int8_t>(std::uint64_t{200}), -56);
  EXPECT_EQ(cast<std::uint64_t>(std::int8_t{-1}), UINT64_MAX);
}

TEST(Half, every_half_to_float_and_double) {
  std::vector<std::uint32_t> floats;
  std::vector<std::uint64_t> doubles;
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const Half half{static_cast<std::uint16_t>(bits)};
    floats.push_back(std::bit_cast<std::uint32_t>(cast<float>(half)));
    const double d = cast<double>(half);
    if (d == d) doubles.push_back(std::bit_cast<std::uint64_t>(d));
    EXPECT_EQ(to_half(cast<float>(half)).bits, bits);
    EXPECT_EQ(to_half(d).bits, bits);
  }
  EXPECT_EQ(fnv(floats), 0xb0659868ec053145U);
  EXPECT_EQ(fnv(doubles), 0xce06a8dff454bf05U);
}

TEST(Half, floats_all_over_the_range) {
  std::vector<std::uint16_t> spread;
  std::vector<std::uint16_t> near;
  std::vector<std::uint16_t> doubles;
  for (std::uint64_t i = 0; i < 65536; ++i) {
    spread.push_back(
        to_half(std::bit_cast<float>(static_cast<std::uint32_t>(i * 65537 + (i * 40503 & 0xffff)))).bits);
    const auto f = std::bit_cast<float>(
        static_cast<std::uint32_t>(0x33000000 + i * 4294967 % (0x47900000 - 0x33000000)));
    near.push_back(to_half(f).bits);
    doubles.push_back(to_half(f * (1 + 0x1p-30)).bits);
  }
  EXPECT_EQ(fnv(spread), 0x23c631da28ce5039U);
  EXPECT_EQ(fnv(near), 0x5e056b24cf377499U);
  EXPECT_EQ(fnv(doubles), 0x3a21ddec47f47f4cU);
}

// Halfway between two halves, and a hair to each side: a double must not be rounded to float first.
TEST(Half, ties) {
  for (std::uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const double low = cast<double>(Half{bits});
    const double high = cast<double>(Half{static_cast<std::uint16_t>(bits + 1)});
    const double middle = (low + high) / 2;
    ASSERT_EQ(to_half(middle).bits, bits + (bits & 1));
    ASSERT_EQ(to_half(std::nextafter(middle, 0.0)).bits, bits);
    ASSERT_EQ(to_half(std::nextafter(middle, 1e9)).bits, bits + 1);
    ASSERT_EQ(to_half(static_cast<float>(middle)).bits, bits + (bits & 1));
    ASSERT_EQ(to_half(-middle).bits, 0x8000 + bits + (bits & 1));
  }
  EXPECT_EQ(to_half(65519.99).bits, 0x7bff);
  EXPECT_EQ(to_half(65520.0).bits, 0x7c00);
  EXPECT_EQ(to_half(5e-324).bits, 0);
  EXPECT_EQ(to_half(1e300).bits, 0x7c00);
}

TEST(BFloat, facts_of_torch) {
  const float in[] = {1.0F,  1.00390625F, 1.01171875F, 3.3895e38F, 3.4e38F,
                      -0.0F, 1e-40F,      257.0F,      259.0F,     INFINITY};
  const std::uint16_t out[] = {0x3f80, 0x3f80, 0x3f82, 0x7f7f, 0x7f80,
                               0x8000, 0x0001, 0x4380, 0x4382, 0x7f80};
  for (std::size_t i = 0; i < std::size(in); ++i) EXPECT_EQ(to_bfloat(in[i]).bits, out[i]) << in[i];
  for (const std::uint32_t nan : {0x7f800001U, 0xffffffffU, 0x7fc00000U, 0xff80ffffU}) {
    EXPECT_TRUE(std::isnan(from_bfloat(to_bfloat(std::bit_cast<float>(nan)))));
  }
  EXPECT_EQ(cast<BFloat>(std::int32_t{259}).bits, 0x4382);
}

TEST(Cast, sums) {
  EXPECT_EQ(sum<std::uint8_t>(200, 100), 44);
  EXPECT_EQ(sum<std::int32_t>(INT32_MAX, 1), INT32_MIN);
  EXPECT_EQ(sum<std::int64_t>(INT64_MIN, -1), INT64_MAX);
  EXPECT_EQ(sum(0.5F, 1.0F), 1.5F);
  EXPECT_EQ(sum(Half{0x3c00}, Half{0x3c00}).bits, 0x4000);
}

}  // namespace
}  // namespace penstock::batch
