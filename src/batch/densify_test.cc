#include "batch/densify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "batch/cast.h"
#include "batch/densify_ref.h"
#include "batch/testing.h"

namespace penstock::batch {
namespace {

using testing::Output;
using testing::Unaligned;

template <class Id>
std::vector<Id> some_ids(std::size_t n, std::size_t n_cols, unsigned seed) {
  std::vector<Id> all(n_cols);
  std::iota(all.begin(), all.end(), Id{0});
  std::mt19937 random(seed);
  std::vector<Id> ids;
  std::sample(all.begin(), all.end(), std::back_inserter(ids), n, random);
  return ids;
}

class Densify : public testing::EveryTarget {};

template <class Id, class T>
void expect_dense(std::size_t n_cols, std::size_t n, ValueClass cls, NumericType type, std::size_t shift) {
  const std::vector<Id> ids = some_ids<Id>(n, n_cols, static_cast<unsigned>(n + n_cols));
  std::vector<std::byte> raw(ids.size() * value_class_bytes(cls, type));
  std::mt19937 random(1);
  for (std::byte& b : raw) b = static_cast<std::byte>(random());
  const Unaligned values(raw);
  Output<T> expected(n_cols);
  ref::densify_row(ids.data(), values.data(), cls, ids.size(), type, n_cols, expected.bytes());
  Output<T> row(n_cols);
  if (n_cols > 0) std::memset(row.bytes(), 0, n_cols * sizeof(T));
  Output<T> out(n_cols + shift);
  for (int repeat = 0; repeat < 2; ++repeat) {  // the second time from a scratch that was used
    densify_row(ids.data(), values.data(), cls, ids.size(), type, row.bytes(), n_cols,
                out.bytes() + shift * sizeof(T));
  }
  const std::vector<std::byte> got = out.copy();
  ASSERT_TRUE(std::equal(got.begin() + static_cast<std::ptrdiff_t>(shift * sizeof(T)), got.end(),
                         expected.copy().begin()))
      << numeric_name(type) << " " << n_cols << " columns, " << n << " values";
  ASSERT_EQ(row.copy(), std::vector<std::byte>(n_cols * sizeof(T)));
}

TEST_P(Densify, every_type_class_and_shape) {
  for (const NumericType type : testing::kTypes) {
    visit_numeric(type, [&]<class T>(std::type_identity<T>) {
      for (const ValueClass cls : {ValueClass::u8, ValueClass::u16, ValueClass::wide}) {
        for (const std::size_t n_cols : {0, 1, 5, 31, 64, 100, 2000, 2048, 4096, 4097, 8192, 20001}) {
          if (testing::kAddressSanitizer && n_cols > 8192) continue;
          for (const std::size_t n : {std::size_t{0}, std::size_t{1}, n_cols / 20, n_cols}) {
            expect_dense<std::uint16_t, T>(n_cols, n, cls, type, n_cols % 7);
          }
        }
        expect_dense<std::uint32_t, T>(70001, 1400, cls, type, 3);
        expect_dense<std::uint32_t, T>(9000, 9000, cls, type, 0);
      }
    });
  }
}

TEST_P(Densify, an_odd_destination) {
  const std::vector<std::uint16_t> ids = {0, 4095, 4096, 4999};
  const std::vector<float> values = {1, 2, 3, 4};
  std::vector<float> row(5000);
  std::vector<float> expected(5000);
  for (std::size_t i = 0; i < ids.size(); ++i) expected[ids[i]] = values[i];
  for (std::size_t shift = 0; shift < 66; ++shift) {
    Output<std::byte> out(20000 + shift);
    densify_row(ids.data(), reinterpret_cast<const std::byte*>(values.data()), ValueClass::wide, 4,
                NumericType::f32, reinterpret_cast<std::byte*>(row.data()), 5000, out.bytes() + shift);
    ASSERT_EQ(std::memcmp(out.bytes() + shift, expected.data(), 20000), 0) << shift;
  }
}

// A contract that is broken loses values, and nothing else.
TEST_P(Densify, wrong_ids_stay_in_bounds) {
  const std::vector<std::uint32_t> ids = {9000, 3, 20000, 4294967295U, 1, 9999};
  const std::vector<float> values(ids.size(), 1.0F);
  Output<float> row(10000);
  std::memset(row.bytes(), 0, 40000);
  Output<float> out(10000);
  densify_row(ids.data(), reinterpret_cast<const std::byte*>(values.data()), ValueClass::wide, ids.size(),
              NumericType::f32, row.bytes(), 10000, out.bytes());
}

TEST_P(Densify, stream_copy) {
  for (const std::size_t n : {0, 1, 15, 63, 64, 65, 127, 128, 200, 1000, 5000}) {
    for (const std::size_t from : {0, 1, 8, 63}) {
      for (const std::size_t to : {0, 1, 4, 56}) {
        std::vector<std::byte> source(n + from);
        std::mt19937 random(1);
        for (std::byte& b : source) b = static_cast<std::byte>(random());
        Output<std::byte> out(n + to);
        stream_copy(out.bytes() + to, source.data() + from, n);
        ASSERT_TRUE(
            std::equal(source.begin() + static_cast<std::ptrdiff_t>(from), source.end(), out.bytes() + to));
      }
    }
  }
}

PENSTOCK_EVERY_TARGET(Densify);

TEST(DensifyScalar, forced) {
  force_scalar(true);
  expect_dense<std::uint16_t, float>(62710, 1400, ValueClass::u8, NumericType::f32, 1);
  force_scalar(false);
}

}  // namespace
}  // namespace penstock::batch
