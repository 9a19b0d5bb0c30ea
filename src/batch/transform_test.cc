#include "batch/transform.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "batch/compact_row.h"

namespace penstock::batch {
namespace {

template <class T>
void expect_equal_to_libm(NumericType type, T tolerance) {
  std::mt19937 random(1);
  for (const bool scalar : {false, true}) {
    force_scalar(scalar);
    for (std::size_t n = 0; n < 70; ++n) {
      for (const bool log1p : {false, true}) {
        const double scale = n % 3 == 0 ? 1 : std::uniform_real_distribution<>(1e-3, 50)(random);
        // At an odd address, between bytes that must stay.
        std::vector<std::byte> bytes(n * sizeof(T) + 2, std::byte{0xa5});
        std::vector<T> values(n);
        for (T& v : values) {
          v = static_cast<T>(std::exp(std::uniform_real_distribution<>(-12, 12)(random)));
          if (random() % 4 == 0) v = static_cast<T>(random() % 300);
          if (random() % 9 == 0) v = -static_cast<T>(0.9) / static_cast<T>(scale);
        }
        if (n > 0) std::memcpy(bytes.data() + 1, values.data(), n * sizeof(T));
        scale_values(bytes.data() + 1, type, n, scale, log1p);
        EXPECT_EQ(bytes.front(), std::byte{0xa5});
        EXPECT_EQ(bytes.back(), std::byte{0xa5});
        for (std::size_t i = 0; i < n; ++i) {
          T got;
          std::memcpy(&got, bytes.data() + 1 + i * sizeof(T), sizeof(T));
          const T scaled = values[i] * static_cast<T>(scale);
          const T want = log1p ? std::log1p(scaled) : scaled;
          EXPECT_NEAR(got, want, std::abs(want) * tolerance) << values[i] << " * " << scale;
        }
      }
    }
  }
  force_scalar(false);
}

TEST(Transform, F32) { expect_equal_to_libm<float>(NumericType::f32, 4e-7F); }
TEST(Transform, F64) { expect_equal_to_libm<double>(NumericType::f64, 1e-15); }

TEST(Transform, CountsAreLookedUp) {
  std::mt19937 random(2);
  for (const std::uint32_t most : {1U, 3U, 40U, 255U}) {
    for (std::size_t n = 0; n < 300; n = n * 2 + 1) {
      std::vector<std::uint8_t> counts(n);
      std::vector<float> want(n), got(n, -1);
      std::uint64_t total = 0;
      for (std::size_t i = 0; i < n; ++i) {
        counts[i] = static_cast<std::uint8_t>(random() % (most + 1));
        want[i] = counts[i];
        total += counts[i];
      }
      EXPECT_EQ(sum_counts(counts.data(), n), total);
      for (const bool log1p : {false, true}) {
        std::vector<float> scaled = want;
        if (n > 0) scale_values(reinterpret_cast<std::byte*>(scaled.data()), NumericType::f32, n, 3.7, log1p);
        scale_counts(counts.data(), n, 3.7, log1p, got.data());
        EXPECT_EQ(got, scaled);
      }
    }
  }
  EXPECT_EQ(sum_counts(std::vector<std::uint8_t>(200'000, 255).data(), 200'000), 51'000'000u);
}

TEST(Transform, EdgesOfTheLogarithm) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const bool scalar : {false, true}) {
    force_scalar(scalar);
    float values[] = {0, -1, -2, kInf, std::numeric_limits<float>::quiet_NaN(), -0.0F, 1e-30F};
    scale_values(reinterpret_cast<std::byte*>(values), NumericType::f32, 7, 1, true);
    EXPECT_EQ(values[0], 0);
    EXPECT_EQ(values[1], -kInf);
    EXPECT_TRUE(std::isnan(values[2]));
    EXPECT_EQ(values[3], kInf);
    EXPECT_TRUE(std::isnan(values[4]));
    EXPECT_EQ(values[5], 0);
    EXPECT_EQ(values[6], 1e-30F);
  }
  force_scalar(false);
}

}  // namespace
}  // namespace penstock::batch
