#include "source/widen.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/load.h"

namespace penstock {
namespace {

constexpr int kTypes = static_cast<int>(ArrayType::boolean) + 1;

TEST(Widen, TheWiderTypeDoesNotDependOnTheOrder) {
  for (int a = 0; a < kTypes; ++a) {
    for (int b = 0; b < kTypes; ++b) {
      const auto one = wider_type(static_cast<ArrayType>(a), static_cast<ArrayType>(b));
      EXPECT_EQ(one, wider_type(static_cast<ArrayType>(b), static_cast<ArrayType>(a))) << a << " " << b;
      if (a == b) {
        EXPECT_EQ(one, static_cast<ArrayType>(a));
      }
    }
  }
}

TEST(Widen, TypesThatHoldBoth) {
  EXPECT_EQ(wider_type(ArrayType::u8, ArrayType::i8), ArrayType::i16);
  EXPECT_EQ(wider_type(ArrayType::u8, ArrayType::i32), ArrayType::i32);
  EXPECT_EQ(wider_type(ArrayType::u32, ArrayType::i8), ArrayType::i64);
  EXPECT_EQ(wider_type(ArrayType::u64, ArrayType::i8), std::nullopt);
  EXPECT_EQ(wider_type(ArrayType::u64, ArrayType::u8), ArrayType::u64);
  EXPECT_EQ(wider_type(ArrayType::f16, ArrayType::bf16), ArrayType::f32);
  EXPECT_EQ(wider_type(ArrayType::f16, ArrayType::i8), ArrayType::f16);
  EXPECT_EQ(wider_type(ArrayType::f16, ArrayType::u16), ArrayType::f32);
  EXPECT_EQ(wider_type(ArrayType::f32, ArrayType::i32), ArrayType::f64);
  EXPECT_EQ(wider_type(ArrayType::f32, ArrayType::u64), ArrayType::f64);
  EXPECT_EQ(wider_type(ArrayType::boolean, ArrayType::u64), ArrayType::u64);
}

// Every value of the 8-bit types, in every type that is wider, is what it was.
template <class T>
void expect_same(ArrayType from) {
  std::vector<T> values;
  for (int v = std::numeric_limits<T>::min(); v <= std::numeric_limits<T>::max(); ++v)
    values.push_back(static_cast<T>(v));
  const auto* in = reinterpret_cast<const std::byte*>(values.data());
  for (int t = 0; t < kTypes; ++t) {
    const auto to = static_cast<ArrayType>(t);
    if (wider_type(from, to) != to) continue;
    std::vector<std::byte> wide(values.size() * item_bytes(to));
    ASSERT_EQ(widen(from, in, values.size(), to, wide.data()), values.size());
    std::vector<std::byte> doubles(values.size() * sizeof(double));
    if (wider_type(to, ArrayType::f64) != ArrayType::f64) continue;
    ASSERT_EQ(widen(to, wide.data(), values.size(), ArrayType::f64, doubles.data()), values.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(load<double>(doubles.data(), i), values[i]) << type_name(to);
  }
}

TEST(Widen, ValuesStayWhatTheyAre) {
  expect_same<std::int8_t>(ArrayType::i8);
  expect_same<std::uint8_t>(ArrayType::u8);
}

TEST(Widen, TheFirstIntegerThatIsNoDoubleIsFound) {
  std::vector<std::int64_t> values(100, 3);
  values[70] = (std::int64_t{1} << 53) + 1;
  std::vector<std::byte> out(values.size() * 8);
  EXPECT_EQ(widen(ArrayType::i64, reinterpret_cast<const std::byte*>(values.data()), values.size(),
                  ArrayType::f64, out.data()),
            70u);
  const std::uint64_t most = std::uint64_t{1} << 63;  // a double, but no int64
  ASSERT_EQ(widen(ArrayType::u64, reinterpret_cast<const std::byte*>(&most), 1, ArrayType::f64, out.data()),
            1u);
  EXPECT_EQ(load<double>(out.data(), 0), 9223372036854775808.0);
}

TEST(Widen, SpecialFloatsStay) {
  const std::vector<float> values = {std::numeric_limits<float>::quiet_NaN(), -0.0f,
                                     std::numeric_limits<float>::infinity(),
                                     std::numeric_limits<float>::denorm_min()};
  std::vector<std::byte> out(values.size() * 8);
  ASSERT_EQ(widen(ArrayType::f32, reinterpret_cast<const std::byte*>(values.data()), values.size(),
                  ArrayType::f64, out.data()),
            values.size());
  EXPECT_TRUE(std::isnan(load<double>(out.data(), 0)));
  EXPECT_TRUE(std::signbit(load<double>(out.data(), 1)));
  EXPECT_EQ(load<double>(out.data(), 2), std::numeric_limits<double>::infinity());
  EXPECT_EQ(load<double>(out.data(), 3), double{std::numeric_limits<float>::denorm_min()});
}

TEST(Widen, BooleansAreZeroAndOne) {
  const std::vector<std::byte> values = {std::byte{0}, std::byte{1}, std::byte{7}};
  std::vector<std::byte> out(3);
  ASSERT_EQ(widen(ArrayType::boolean, values.data(), 3, ArrayType::boolean, out.data()), 3u);
  EXPECT_EQ(out, (std::vector{std::byte{0}, std::byte{1}, std::byte{1}}));
  ASSERT_EQ(widen(ArrayType::boolean, values.data(), 3, ArrayType::i8, out.data()), 3u);
  EXPECT_EQ(out, (std::vector{std::byte{0}, std::byte{1}, std::byte{1}}));
}

}  // namespace
}  // namespace penstock
