#include <gtest/gtest.h>

#include <cmath>

#include "batch/compact_row.h"
#include "batch/compact_row_ref.h"
#include "batch/testing.h"

namespace penstock::batch {
namespace {

using testing::Output;
using testing::Unaligned;

// n elements: numbers at the edges of every type, small counts, and any bits at all.
std::vector<std::byte> interesting(NumericType type, std::size_t n) {
  static constexpr double kEdges[] = {0,
                                      -0.0,
                                      0.5,
                                      -0.5,
                                      1.9,
                                      -1.9,
                                      127,
                                      128,
                                      255,
                                      256,
                                      -129,
                                      32767,
                                      32768,
                                      65504,
                                      65519,
                                      65520,
                                      65535,
                                      65536,
                                      -40000,
                                      16777216,
                                      16777217,
                                      16777219,
                                      2147483520.,
                                      2147483647.,
                                      2147483648.,
                                      4294967295.,
                                      4294967296.,
                                      -2147483648.,
                                      -2147483648.9,
                                      -2147483649.,
                                      9.2e18,
                                      9223372036854775808.,
                                      1.8e19,
                                      18446744073709551616.,
                                      1e20,
                                      -9223372036854775808.,
                                      -1e20,
                                      1e39,
                                      1e-46,
                                      6e-8};
  std::mt19937_64 random(n);
  return visit_numeric(type, [&]<class T>(std::type_identity<T>) {
    std::vector<std::byte> bytes(n * sizeof(T));
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint64_t r = random();
      const std::uint64_t any_bits = random();
      T value;
      std::memcpy(&value, &any_bits, sizeof(T));
      if (r % 4 == 0) value = cast<T>(kEdges[r / 4 % std::size(kEdges)]);
      if (r % 4 == 1) value = cast<T>(static_cast<std::uint8_t>(r >> 8));
      store(bytes.data(), i, value);
    }
    return bytes;
  });
}

class Convert : public testing::EveryTarget {};

TEST_P(Convert, every_pair_like_the_reference) {
  for (const NumericType from : testing::kTypes) {
    for (const std::size_t n : testing::lengths()) {
      const Unaligned in(interesting(from, n));
      for (const NumericType to : testing::kTypes) {
        Output<std::byte> expected(n * numeric_size(to));
        Output<std::byte> out(n * numeric_size(to));
        const std::size_t want = ref::convert_values(in.data(), from, n, expected.data(), to);
        ASSERT_EQ(convert_values(in.data(), from, n, out.data(), to), want)
            << numeric_name(from) << " to " << numeric_name(to) << ", " << n;
        ASSERT_EQ(out.copy(), expected.copy())
            << numeric_name(from) << " to " << numeric_name(to) << ", " << n;
      }
    }
  }
}

TEST_P(Convert, counts_inexact_conversions) {
  const auto inexact = []<class In>(std::vector<In> values, NumericType from, NumericType to) {
    Output<std::uint64_t> out(values.size());
    return convert_values(Unaligned(values).data(), from, values.size(), out.bytes(), to);
  };
  const std::vector<double> doubles = {0.0, -0.0, 1.5, 0.1, NAN, INFINITY, 1e300, 16777217.0};
  EXPECT_EQ(inexact(doubles, NumericType::f64, NumericType::f32), 3U);
  EXPECT_EQ(inexact(doubles, NumericType::f64, NumericType::f64), 0U);
  EXPECT_EQ(inexact(doubles, NumericType::f64, NumericType::i32), 5U);
  const std::vector<std::int32_t> ints = {0, -1, 1 << 24, (1 << 24) + 1, 2147483647, -2147483647 - 1};
  EXPECT_EQ(inexact(ints, NumericType::i32, NumericType::f32), 2U);
  EXPECT_EQ(inexact(ints, NumericType::i32, NumericType::f64), 0U);
  EXPECT_EQ(inexact(ints, NumericType::i32, NumericType::u32), 2U);
  EXPECT_EQ(inexact(std::vector<std::uint64_t>{~0ULL, 1ULL << 63, 5}, NumericType::u64, NumericType::f32),
            1U);
  EXPECT_EQ(inexact(std::vector<std::int64_t>{INT64_MAX, INT64_MIN}, NumericType::i64, NumericType::f64), 1U);
  const std::vector<float> floats = {1.0F, 1.00390625F, NAN, -INFINITY, 3.4e38F, 300.0F};
  EXPECT_EQ(inexact(floats, NumericType::f32, NumericType::bf16), 2U);
  EXPECT_EQ(inexact(floats, NumericType::f32, NumericType::f16), 1U);
  EXPECT_EQ(inexact(floats, NumericType::f32, NumericType::u8), 5U);
}

TEST_P(Convert, in_place_when_the_types_are_equal) {
  std::vector<float> values = {1, 2, 3};
  auto* bytes = reinterpret_cast<std::byte*>(values.data());
  EXPECT_EQ(convert_values(bytes, NumericType::f32, 3, bytes, NumericType::f32), 0U);
  EXPECT_EQ(values, (std::vector<float>{1, 2, 3}));
}

PENSTOCK_EVERY_TARGET(Convert);

}  // namespace
}  // namespace penstock::batch
