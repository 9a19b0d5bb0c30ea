#include "anndata/indptr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "anndata/testing/memory_array.h"

namespace penstock::anndata {
namespace {

using penstock::testing::ArrayOptions;
using penstock::testing::MemoryArray;
using penstock::testing::to_bytes;

using Offsets = std::vector<std::uint64_t>;

Offsets sums(const std::vector<std::uint64_t>& lengths) {
  Offsets offsets{0};
  for (const std::uint64_t n : lengths) offsets.push_back(offsets.back() + n);
  return offsets;
}

MemoryArray stored(const Offsets& offsets, std::uint64_t chunk = 0) {
  return {NumericType::u64, to_bytes(offsets), ArrayOptions{.chunk = chunk, .path = "/X/indptr"}};
}

// As opening finds them out: offsets come in parts of any size.
OffsetBounds bounds_of(const Offsets& offsets, std::size_t part) {
  OffsetBounds bounds{.entries = offsets.back()};
  for (std::size_t i = 1; i < offsets.size(); ++i)
    bounds.longest_row = std::max(bounds.longest_row, offsets[i] - offsets[i - 1]);
  PackedLengths packed;
  for (std::size_t i = 0; i < offsets.size(); i += part)
    packed.add(std::span(offsets).subspan(i, std::min(part, offsets.size() - i)));
  bounds.packed_words = packed.words();
  return bounds;
}

void expect_all(const Offsets& offsets, std::mt19937_64& random) {
  const auto budget = MemoryBudget::create(1 << 30);
  const MemoryArray array = stored(offsets, 1 + random() % 700);
  const OffsetBounds bounds = bounds_of(offsets, 1 + random() % 300);
  const auto packed = RowOffsets::create(array, bounds, *budget);
  ASSERT_TRUE(packed.ok()) << packed.status().to_string();
  EXPECT_EQ(budget->usage().used, RowOffsets::bytes(offsets.size() - 1, bounds));
  Offsets all(offsets.size());
  packed->read(0, all);
  ASSERT_EQ(all, offsets);
  for (int i = 0; i < 200; ++i) {
    const std::size_t first = random() % offsets.size();
    Offsets some(1 + random() % (offsets.size() - first));
    packed->read(first, some);
    const auto begin = offsets.begin() + static_cast<std::ptrdiff_t>(first);
    ASSERT_EQ(some, Offsets(begin, begin + static_cast<std::ptrdiff_t>(some.size()))) << first;
  }
}

TEST(RowOffsetsTest, AreTheOnesInTheFile) {
  std::mt19937_64 random(1);
  for (const std::uint64_t n : {0, 1, 2, 126, 127, 128, 129, 255, 256, 257, 3000}) {
    SCOPED_TRACE(n);
    std::vector<std::uint64_t> none(n, 0), same(n, 7), any(n), outliers(n, 1);
    for (auto& length : any) length = random() % 5000;
    if (n > 0) outliers[random() % n] = std::uint64_t{1} << 60;
    for (const auto& lengths : {none, same, any, outliers}) expect_all(sums(lengths), random);
  }
}

TEST(RowOffsetsTest, TakeLittle) {
  // Lengths as of 1,400 genes a cell: a lognormal of which one in a thousand is six times the median.
  std::mt19937_64 random(2);
  std::lognormal_distribution<double> length(std::log(1250), 0.5);
  std::vector<std::uint64_t> lengths(100'000);
  for (auto& n : lengths) n = static_cast<std::uint64_t>(length(random));
  const Offsets offsets = sums(lengths);
  const double a_row = static_cast<double>(RowOffsets::bytes(lengths.size(), bounds_of(offsets, 9766))) /
                       static_cast<double>(lengths.size());
  EXPECT_LT(a_row, 1.8);
  EXPECT_GT(a_row, 1.2);  // below what the lengths need something is not counted
}

TEST(RowOffsetsTest, AFileThatHasChangedIsAnError) {
  const Offsets before = sums({5, 5, 5, 5}), longer = sums({2, 2, 14, 2}), wider = sums({0, 0, 5, 15});
  for (const Offsets& now : {longer, wider}) {
    const auto budget = MemoryBudget::create(1 << 20);
    const auto packed = RowOffsets::create(stored(now), bounds_of(before, 3), *budget);
    ASSERT_FALSE(packed.ok());
    EXPECT_EQ(packed.status().code(), StatusCode::io_error);
    EXPECT_THAT(packed.status().message(), ::testing::HasSubstr("changed since"));
    EXPECT_EQ(budget->usage().used, 0);
  }
}

// As many entries in rows that are no longer than before, and yet more words: 8 groups of 7 bits, for one of 10.
TEST(RowOffsetsTest, WhatWasReservedIsNotExceeded) {
  std::vector<std::uint64_t> one(1024, 0), spread(1024, 0);
  one[5] = 1000;
  for (std::size_t group = 0; group < 8; ++group) spread[128 * group + 5] = 125;
  const auto budget = MemoryBudget::create(1 << 20);
  const auto packed = RowOffsets::create(stored(sums(spread)), bounds_of(sums(one), 64), *budget);
  ASSERT_FALSE(packed.ok());
  EXPECT_EQ(packed.status().code(), StatusCode::io_error);
}

}  // namespace
}  // namespace penstock::anndata
