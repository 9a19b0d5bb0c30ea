// compact_values and its way back; expand_ids.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "batch/compact_row.h"
#include "batch/compact_row_ref.h"
#include "batch/testing.h"

namespace penstock::batch {
namespace {

using testing::Output;
using testing::Unaligned;

template <class T>
std::vector<T> counts(std::size_t n, unsigned most, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<T> values(n);
  for (T& value : values) value = cast<T>(static_cast<std::uint16_t>(random() % (most + 1)));
  return values;
}

template <class T>
ValueClass expect_round_trip(const std::vector<T>& values, NumericType type) {
  const Unaligned in(values);
  Output<T> expected(values.size());
  Output<T> out(values.size());
  const ValueClass want = ref::compact_values(in.data(), type, values.size(), expected.bytes());
  const ValueClass got = compact_values(in.data(), type, values.size(), out.bytes());
  EXPECT_EQ(got, want) << numeric_name(type) << " " << values.size();
  const std::size_t bytes = values.size() * value_class_bytes(got, type);
  EXPECT_EQ(out.copy(bytes), expected.copy(bytes));
  Output<T> back(values.size());
  const Unaligned compact(out.copy(bytes));
  expand_values(compact.data(), got, values.size(), back.bytes(), type);
  EXPECT_EQ(back.copy(), testing::bytes_of(values)) << numeric_name(type) << " " << values.size();
  return got;
}

class Values : public testing::EveryTarget {};

TEST_P(Values, counts_of_every_type_and_length) {
  for (const NumericType type : testing::kTypes) {
    visit_numeric(type, [&]<class T>(std::type_identity<T>) {
      for (const std::size_t n : testing::lengths()) {
        const auto small = counts<T>(n, sizeof(T) == 1 ? 127 : 255, 1);
        const ValueClass cls = expect_round_trip(small, type);
        EXPECT_EQ(cls, sizeof(T) == 1 ? ValueClass::wide : ValueClass::u8);
        for (const unsigned most : {256U, 1000U, 40000U, 65535U})
          expect_round_trip(counts<T>(n, most, most), type);
      }
    });
  }
}

TEST_P(Values, one_value_that_does_not_fit_at_every_place) {
  for (const NumericType type : testing::kTypes) {
    visit_numeric(type, [&]<class T>(std::type_identity<T>) {
      for (const double odd : {-0.0,
                               0.5,
                               254.5,
                               255.5,
                               -1.0,
                               -1e-30,
                               1e-40,
                               256.0,
                               65535.0,
                               65536.0,
                               65535.5,
                               8388607.5,
                               8388608.0,
                               8388609.0,
                               16777216.0,
                               33554432.0,
                               4294967296.0,
                               1e15,
                               4503599627370495.5,
                               4503599627370496.0,
                               9007199254740992.0,
                               1e30,
                               double{INFINITY},
                               -double{INFINITY},
                               double{NAN},
                               -1e30,
                               0.99999999}) {
        for (const std::size_t n : {1, 7, 16, 17, 33, 70}) {
          for (std::size_t at = 0; at<n; at += n> 20 ? 5 : 1) {
            auto values = counts<T>(n, 100, 3);
            values[at] = cast<T>(odd);
            expect_round_trip(values, type);
          }
        }
      }
    });
  }
}

TEST_P(Values, all_bit_patterns) {
  for (unsigned high = 0; high < 65536; high += 64) {
    std::vector<float> floats;
    std::vector<Half> halves;
    std::vector<BFloat> bfloats;
    for (unsigned low = 0; low < 64; ++low) {
      halves.push_back({static_cast<std::uint16_t>(high + low)});
      bfloats.push_back({static_cast<std::uint16_t>(high + low)});
      floats.push_back(std::bit_cast<float>((high + low) << 16 | (high * 77 & 0xffff)));
    }
    expect_round_trip(floats, NumericType::f32);
    expect_round_trip(halves, NumericType::f16);
    expect_round_trip(bfloats, NumericType::bf16);
    for (std::size_t i = 0; i < 64; ++i) {
      expect_round_trip(std::vector<BFloat>{bfloats[i]}, NumericType::bf16);
      expect_round_trip(std::vector<Half>{halves[i]}, NumericType::f16);
    }
  }
}

TEST_P(Values, classes) {
  EXPECT_EQ(expect_round_trip<float>({0, 1, 255}, NumericType::f32), ValueClass::u8);
  EXPECT_EQ(expect_round_trip<float>({0, 1, 256}, NumericType::f32), ValueClass::u16);
  EXPECT_EQ(expect_round_trip<float>({0, 1, 65535}, NumericType::f32), ValueClass::u16);
  EXPECT_EQ(expect_round_trip<float>({0, 1, 65536}, NumericType::f32), ValueClass::wide);
  EXPECT_EQ(expect_round_trip<float>({0, -0.0F}, NumericType::f32), ValueClass::wide);
  EXPECT_EQ(expect_round_trip<std::int16_t>({0, 256}, NumericType::i16), ValueClass::wide);
  EXPECT_EQ(expect_round_trip<std::int64_t>({0, 65535}, NumericType::i64), ValueClass::u16);
  EXPECT_EQ(expect_round_trip<std::int64_t>({-1, 65535}, NumericType::i64), ValueClass::wide);
  EXPECT_EQ(expect_round_trip<double>({}, NumericType::f64), ValueClass::u8);
}

// Classes need not come from compact_values: any integer expands as numpy would cast it.
TEST_P(Values, expand_rounds_like_a_cast) {
  for (const NumericType type : testing::kTypes) {
    visit_numeric(type, [&]<class T>(std::type_identity<T>) {
      for (const std::size_t n : testing::lengths()) {
        std::mt19937 random(static_cast<unsigned>(n));
        std::vector<std::uint16_t> values(n);
        for (auto& value : values) value = static_cast<std::uint16_t>(random());
        const Unaligned in(values);
        for (const ValueClass cls : {ValueClass::u8, ValueClass::u16}) {
          Output<T> expected(n);
          Output<T> out(n);
          ref::expand_values(in.data(), cls, n, expected.bytes(), type);
          expand_values(in.data(), cls, n, out.bytes(), type);
          ASSERT_EQ(out.copy(), expected.copy()) << numeric_name(type) << " " << n;
        }
      }
    });
  }
}

template <class In, class Out>
void expect_expanded_ids() {
  for (const std::size_t n : testing::lengths()) {
    std::mt19937 random(static_cast<unsigned>(n));
    std::vector<In> ids(n);
    for (In& id : ids) id = static_cast<In>(random() & 0x7fffffff);
    Output<Out> out(n);
    expand_ids(ids.data(), n, out.data());
    ASSERT_EQ(out.copy(), testing::bytes_of(std::vector<Out>(ids.begin(), ids.end())));
  }
}

TEST_P(Values, expand_ids) {
  expect_expanded_ids<std::uint16_t, std::int32_t>();
  expect_expanded_ids<std::uint16_t, std::int64_t>();
  expect_expanded_ids<std::uint32_t, std::int32_t>();
  expect_expanded_ids<std::uint32_t, std::int64_t>();
}

PENSTOCK_EVERY_TARGET(Values);

TEST(ValuesScalar, forced) {
  force_scalar(true);
  EXPECT_EQ(expect_round_trip<float>({0, 1, 255}, NumericType::f32), ValueClass::u8);
  expect_expanded_ids<std::uint16_t, std::int32_t>();
  expect_expanded_ids<std::uint32_t, std::int64_t>();
  force_scalar(false);
}

}  // namespace
}  // namespace penstock::batch
