#include "parquet/encodings/hybrid.h"

#include <gtest/gtest.h>

#include <random>

#include "parquet/encodings/indices.h"
#include "parquet/testing/encoders.h"

namespace penstock::parquet {
namespace {

using testing::Bytes;

// Runs of both kinds, in random order and length, and what they hold.
struct Mixed {
  Bytes bytes;
  std::vector<std::uint32_t> values;
};

Mixed mixed(int width, std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto value = [&] {
    return width == 0 ? 0U : static_cast<std::uint32_t>(random() & ((std::uint64_t{1} << width) - 1));
  };
  Mixed out;
  for (int run = 0; run < 12; ++run) {
    const std::size_t n = run % 3 == 2 ? 8 * (random() % 300 + 1) : random() % 50 + 1;
    if (random() % 2 == 0) {
      const std::uint32_t v = value();
      testing::rle_run(out.bytes, n, v, width);
      out.values.insert(out.values.end(), n, v);
    } else {
      std::vector<std::uint64_t> values;
      for (std::size_t i = 0; i < (n + 7) / 8 * 8; ++i) values.push_back(value());
      testing::packed_run(out.bytes, values, width);
      out.values.insert(out.values.end(), values.begin(), values.end());
    }
  }
  return out;
}

TEST(Hybrid, ReadsAndSkipsAnyMixInAnyPieces) {
  for (int width = 1; width <= 32; ++width) {
    for (std::uint32_t seed = 0; seed < 6; ++seed) {
      const Mixed m = mixed(width, seed * 100 + static_cast<std::uint32_t>(width));
      std::mt19937 random(seed);
      HybridReader reader(m.bytes, width);
      for (std::size_t at = 0; at < m.values.size();) {
        const std::size_t n = std::min<std::size_t>(random() % 700 + 1, m.values.size() - at);
        if (random() % 3 == 0) {
          ASSERT_EQ(reader.skip(n), DecodeError::ok);
        } else {
          std::vector<std::uint32_t> out(n, 0xa5a5a5a5);
          ASSERT_EQ(reader.read(out), DecodeError::ok);
          ASSERT_TRUE(std::equal(out.begin(), out.end(), m.values.begin() + static_cast<std::ptrdiff_t>(at)))
              << "width " << width << ", seed " << seed << ", at " << at;
        }
        at += n;
      }
      std::uint32_t one = 0;
      EXPECT_EQ(reader.read({&one, 1}), DecodeError::truncated);
    }
  }
}

TEST(Hybrid, WidthZeroNeedsNoBytes) {
  HybridReader reader({}, 0);
  std::vector<std::uint32_t> out(1000, 7);
  ASSERT_EQ(reader.read(out), DecodeError::ok);
  EXPECT_EQ(out, std::vector<std::uint32_t>(1000, 0));
}

TEST(Hybrid, CutAnywhereOrFlippedItEndsWithAnErrorOrInsideItsBounds) {
  const Mixed m = mixed(7, 1);
  std::vector<std::uint32_t> out(m.values.size());
  for (std::size_t n = 0; n < m.bytes.size(); ++n) {
    HybridReader reader(std::span(m.bytes).first(n), 7);
    EXPECT_NE(reader.read(out), DecodeError::ok) << n;
  }
  std::mt19937 random(3);
  for (int i = 0; i < 3000; ++i) {
    Bytes bad = m.bytes;
    bad[random() % bad.size()] ^= static_cast<std::byte>(1 << random() % 8);
    HybridReader reader(bad, 7);
    if (reader.read(out) == DecodeError::ok) {
      for (const std::uint32_t v : out) ASSERT_LT(v, 128U);
    }
  }
}

template <class T>
void expect_gathers(int width, std::uint32_t seed) {
  const Mixed m = mixed(width, seed);
  const std::uint32_t size = std::uint32_t{1} << width;
  std::vector<T> table(size);
  std::mt19937 random(seed);
  for (T& t : table) t = static_cast<T>(random());
  Bytes page;
  testing::put(page, static_cast<std::uint64_t>(width));
  page.insert(page.end(), m.bytes.begin(), m.bytes.end());
  IndexReader reader;
  ASSERT_EQ(IndexReader::open(page, size, &reader), DecodeError::ok);
  for (std::size_t at = 0; at < m.values.size();) {
    const std::size_t n = std::min<std::size_t>(random() % 3000 + 1, m.values.size() - at);
    std::vector<T> out(n + 1, static_cast<T>(0x5a));
    ASSERT_EQ(reader.gather(table.data(), out.data(), n), DecodeError::ok);
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(out[i], table[m.values[at + i]]) << width << " " << at + i;
    ASSERT_EQ(out[n], static_cast<T>(0x5a));
    at += n;
  }
}

TEST(Indices, GatherEveryTypeAndWidth) {
  for (int width = 1; width <= 17; ++width) {
    expect_gathers<std::uint8_t>(width, 10);
    expect_gathers<std::uint16_t>(width, 11);
    expect_gathers<std::uint32_t>(width, 12);
    expect_gathers<std::uint64_t>(width, 13);
  }
}

TEST(Indices, AnIndexBeyondTheDictionaryIsAnError) {
  for (const bool packed : {true, false}) {
    Bytes page;
    testing::put(page, 4);
    if (packed) {
      testing::packed_run(page, {1, 2, 10, 3}, 4);
    } else {
      testing::rle_run(page, 4, 10, 4);
    }
    const std::vector<std::uint8_t> table(11);
    std::vector<std::uint8_t> out(4);
    IndexReader reader;
    ASSERT_EQ(IndexReader::open(page, 11, &reader), DecodeError::ok);
    EXPECT_EQ(reader.gather(table.data(), out.data(), 4), DecodeError::ok);
    ASSERT_EQ(IndexReader::open(page, 10, &reader), DecodeError::ok);
    EXPECT_EQ(reader.gather(table.data(), out.data(), 4), DecodeError::out_of_range);
  }
  IndexReader reader;
  Bytes wide;
  testing::put(wide, 33);
  EXPECT_EQ(IndexReader::open(wide, 10, &reader), DecodeError::bad_width);
}

}  // namespace
}  // namespace penstock::parquet
