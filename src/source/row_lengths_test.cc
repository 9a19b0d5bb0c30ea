#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "source/row_source.h"

namespace penstock {
namespace {

TEST(RowLengthsTest, BucketsAreMonotoneAndTight) {
  int last = -1;
  for (std::uint64_t n = 0; n < 100000; ++n) {
    const int b = RowLengths::bucket_of(n);
    ASSERT_GE(b, last);
    ASSERT_GE(RowLengths::bucket_max(b), n);
    ASSERT_LE(RowLengths::bucket_max(b), n < 16 ? n : n + n / 8);
    last = b;
  }
  for (int e = 17; e < 64; ++e) {
    for (const std::uint64_t n :
         {(std::uint64_t{1} << e) - 1, std::uint64_t{1} << e, (std::uint64_t{1} << e) + 1}) {
      const int b = RowLengths::bucket_of(n);
      ASSERT_LT(b, RowLengths::kBuckets);
      ASSERT_GE(RowLengths::bucket_max(b), n);
      ASSERT_LT(RowLengths::bucket_max(b - 1), n);
    }
  }
  EXPECT_EQ(RowLengths::bucket_max(RowLengths::bucket_of(~std::uint64_t{0})), ~std::uint64_t{0});
  EXPECT_EQ(RowLengths::bucket_max(RowLengths::kBuckets - 1), ~std::uint64_t{0});
}

TEST(RowLengthsTest, LongestSumIsAnUpperBoundAndNotTooFar) {
  std::mt19937_64 random(7);
  RowLengths lengths, other;
  std::vector<std::uint64_t> rows;
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t n = random() % (1 + random() % 5000);
    rows.push_back(n);
    (i % 2 ? lengths : other).add(n);
  }
  lengths.merge(other);
  std::sort(rows.rbegin(), rows.rend());
  EXPECT_EQ(lengths.rows, rows.size());
  EXPECT_EQ(lengths.longest, rows[0]);
  std::uint64_t sum = 0;
  for (std::size_t n = 1; n <= rows.size(); ++n) {
    sum += rows[n - 1];
    ASSERT_GE(lengths.longest_sum(n), sum);
    ASSERT_LE(lengths.longest_sum(n), sum + sum / 8 + 1);
  }
  EXPECT_EQ(lengths.entries, sum);
  EXPECT_EQ(lengths.longest_sum(1), rows[0]);
  EXPECT_EQ(lengths.longest_sum(1 << 20), sum);
  EXPECT_EQ(RowLengths().longest_sum(10), 0u);
}

}  // namespace
}  // namespace penstock
