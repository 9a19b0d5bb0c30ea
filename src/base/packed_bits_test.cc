#include "base/packed_bits.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>

namespace penstock {
namespace {

TEST(PackedBitsTest, EveryWidthAtEveryPosition) {
  std::mt19937_64 random(1);
  std::vector<std::pair<std::uint64_t, unsigned>> numbers;
  for (int i = 0; i < 20000; ++i) {
    const auto width = static_cast<unsigned>(random() % 65);
    numbers.emplace_back(width == 0 ? 0 : random() >> (64 - width), width);
  }
  std::vector<std::uint64_t> words = {~std::uint64_t{0}};  // what was there stays
  BitWriter writer(words);
  std::uint64_t bits = 0;
  for (const auto& [value, width] : numbers) {
    writer.put(value, width);
    bits += width;
  }
  EXPECT_EQ(words.front(), ~std::uint64_t{0});
  EXPECT_EQ(words.size(), 1 + (bits + 63) / 64);
  std::uint64_t at = 64;
  for (const auto& [value, width] : numbers) {
    ASSERT_EQ(read_bits(words.data(), at, width), value) << width << " bits at " << at;
    at += width;
  }
}

TEST(PackedBitsTest, DifferencesOfBothSigns) {
  for (const std::int64_t d : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1}, std::int64_t{-1000},
                               std::int64_t{1} << 62, -(std::int64_t{1} << 62)}) {
    const std::uint64_t code = zigzag(static_cast<std::uint64_t>(d));
    EXPECT_EQ(static_cast<std::int64_t>(unzigzag(code)), d);
  }
  EXPECT_EQ(bits_for(zigzag(static_cast<std::uint64_t>(-4))), 3u);
  EXPECT_EQ(bits_for(0), 0u);
  EXPECT_EQ(bits_for(255), 8u);
  EXPECT_EQ(bits_for(256), 9u);
}

}  // namespace
}  // namespace penstock
