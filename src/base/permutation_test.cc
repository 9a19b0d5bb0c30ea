#include "base/permutation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

namespace penstock {
namespace {

TEST(KeyedPermutation, IsABijectionWithAnInverse) {
  std::vector<std::uint8_t> seen;
  for (std::uint64_t n = 1; n <= 3000; ++n) {
    const KeyedPermutation p(n, mix(7, n, 0));
    seen.assign(n, 0);
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t to = p(i);
      ASSERT_LT(to, n);
      ASSERT_EQ(seen[to], 0) << "n=" << n << " i=" << i;
      seen[to] = 1;
      ASSERT_EQ(p.inverse(to), i) << "n=" << n;
    }
  }
}

TEST(KeyedPermutation, LargeDomainsInvert) {
  for (const std::uint64_t n :
       {(std::uint64_t{1} << 32) - 1, std::uint64_t{1} << 32, (std::uint64_t{1} << 32) + 1,
        std::uint64_t{1} << 63, (std::uint64_t{1} << 63) + 1, ~std::uint64_t{0}}) {
    const KeyedPermutation p(n, 99);
    for (std::uint64_t i = 0; i < 1000; ++i) {
      const std::uint64_t item = mix64(i) % n;
      const std::uint64_t to = p(item);
      ASSERT_LT(to, n);
      ASSERT_EQ(p.inverse(to), item);
    }
  }
}

TEST(KeyedPermutation, DependsOnKeyAndNothingElse) {
  const KeyedPermutation a(1000, 1), b(1000, 1), c(1000, 2);
  int same = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(a(i), b(i));
    same += a(i) == c(i) ? 1 : 0;
  }
  EXPECT_LT(same, 20);  // one in expectation
}

// Results are promised to checkpoints: these numbers may only change together with their version.
TEST(KeyedPermutation, ResultsArePinned) {
  const KeyedPermutation p(1000, mix(0, 1, 2));
  EXPECT_EQ(mix(0, 1, 2), 0x5def8c1f8a9e3322ULL);
  EXPECT_EQ(p(0), 687u);
  EXPECT_EQ(p(1), 270u);
  EXPECT_EQ(p(999), 874u);
}

// Every item must go everywhere equally often over keys: chi-squared over (item, place), n * n - 1 degrees of
// freedom less the n constraints per side, well within 6 standard deviations.
TEST(KeyedPermutation, PlacesAreUniformOverKeys) {
  for (const std::uint64_t n : {2u, 3u, 5u, 16u, 17u, 100u}) {
    const int keys = 4000;
    std::vector<double> counts(n * n, 0);
    for (int k = 0; k < keys; ++k) {
      const KeyedPermutation p(n, mix(3, static_cast<std::uint64_t>(k), 5));
      for (std::uint64_t i = 0; i < n; ++i) counts[i * n + p(i)] += 1;
    }
    const double expected = static_cast<double>(keys) / static_cast<double>(n);
    double chi = 0;
    for (const double c : counts) chi += (c - expected) * (c - expected) / expected;
    const double dof = static_cast<double>((n - 1) * (n - 1));
    // The statistic over a doubly constrained table is n / (n - 1) times a chi-squared of (n - 1)^2.
    const double statistic = chi * static_cast<double>(n - 1) / static_cast<double>(n);
    EXPECT_LT(statistic, dof + 6 * std::sqrt(2 * dof) + 6) << "n=" << n;
  }
}

// Neighbours must not stay neighbours: the mean distance of p(i), p(i + 1) of a random order is n / 3.
TEST(KeyedPermutation, NeighboursAreScattered) {
  const std::uint64_t n = 100000;
  const KeyedPermutation p(n, 11);
  double sum = 0;
  for (std::uint64_t i = 0; i + 1 < n; ++i) {
    const std::uint64_t a = p(i), b = p(i + 1);
    sum += static_cast<double>(std::max(a, b) - std::min(a, b));
  }
  EXPECT_NEAR(sum / static_cast<double>(n - 1), static_cast<double>(n) / 3, static_cast<double>(n) * 0.005);
}

TEST(Mix, NeighbouringStreamsDiffer) {
  std::set<std::uint64_t> keys;
  for (std::uint64_t s = 0; s < 10; ++s)
    for (std::uint64_t a = 0; a < 10; ++a)
      for (std::uint64_t b = 0; b < 10; ++b) keys.insert(mix(s, a, b));
  EXPECT_EQ(keys.size(), 1000u);
}

}  // namespace
}  // namespace penstock
