#include <gtest/gtest.h>

#include <random>

#include "parquet/encodings/level_runs.h"
#include "parquet/testing/encoders.h"

namespace penstock::parquet {
namespace {

using testing::Bytes;

// Levels as runs and packed groups at random.
Bytes encode(const std::vector<std::uint8_t>& levels, int width, std::mt19937& random) {
  Bytes out;
  for (std::size_t at = 0; at < levels.size();) {
    std::size_t same = at;
    while (same < levels.size() && levels[same] == levels[at]) ++same;
    if (same - at >= 8 && random() % 4 != 0) {
      testing::rle_run(out, same - at, levels[at], width);
      at = same;
    } else {
      // Groups of eight; the last one of a page may run past its end.
      std::vector<std::uint64_t> group;
      for (std::size_t i = at; i < std::min(levels.size(), at + 8); ++i) group.push_back(levels[i]);
      testing::packed_run(out, group, width);
      at += 8;
    }
  }
  return out;
}

struct Levels {
  std::vector<std::uint8_t> rep, def;
};

// Rows as lists of optional elements in an optional list: def 0 null, 1 empty, 2 null element, 3 value.
Levels random_rows(std::mt19937& random, bool full) {
  Levels out;
  const auto add = [&](int rep, int def) {
    out.rep.push_back(static_cast<std::uint8_t>(rep));
    out.def.push_back(static_cast<std::uint8_t>(def));
  };
  // A page may begin inside a row.
  if (random() % 2 == 0) {
    for (std::size_t i = random() % 20 + 1; i > 0; --i) add(1, 3);
  }
  for (int row = 0; row < 60; ++row) {
    // Stretches of like rows, which are runs in both kinds of levels: null, empty, a null element, a value.
    if (!full && random() % 12 == 0) {
      const int def = static_cast<int>(random() % 4);
      for (std::size_t i = random() % 40 + 8; i > 0; --i) add(0, def);
    }
    const std::size_t n = random() % 7 == 0 ? 1 : random() % 90;
    if (n == 0) {
      if (!full) add(0, static_cast<int>(random() % 2));
      continue;
    }
    for (std::size_t i = 0; i < n; ++i) add(i > 0 ? 1 : 0, full || random() % 9 != 0 ? 3 : 2);
  }
  return out;
}

TEST(Levels, ListStartsEqualThePlainWalk) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const bool full = seed % 3 == 0;
    const Levels levels = random_rows(random, full);
    const Bytes rep = encode(levels.rep, 1, random), def = encode(levels.def, 2, random);
    std::vector<std::uint32_t> expected;
    ListPage want;
    for (std::size_t i = 0; i < levels.rep.size(); ++i) {
      if (levels.rep[i] == 0) {
        if (expected.empty()) want.elements_before = want.elements();
        expected.push_back(static_cast<std::uint32_t>(want.elements()));
        want.null_lists += levels.def[i] == 0 ? 1 : 0;
      }
      want.values += levels.def[i] == 3 ? 1 : 0;
      want.null_elements += levels.def[i] == 2 ? 1 : 0;
    }
    if (expected.empty()) want.elements_before = want.elements();
    std::vector<std::uint32_t> starts(expected.size(), 0xa5a5a5a5);
    ListPage got;
    ASSERT_EQ(list_starts(rep, def, 3, 2, 1, levels.rep.size(), starts, &got), DecodeError::ok) << seed;
    EXPECT_EQ(starts, expected) << seed;
    EXPECT_EQ(got.rows, expected.size());
    EXPECT_EQ(got.values, want.values);
    EXPECT_EQ(got.elements_before, want.elements_before) << seed;
    EXPECT_EQ(got.null_elements, want.null_elements);
    EXPECT_EQ(got.null_lists, want.null_lists);
    // Which elements have a value, in pieces of any size.
    Bytes elements;
    for (const std::uint8_t level : levels.def) {
      if (level >= 2) elements.push_back(static_cast<std::byte>(level == 3 ? 1 : 0));
    }
    ElementPresence presence(def, 3, 2);
    for (std::size_t at = 0; at < elements.size();) {
      std::vector<std::uint8_t> piece(std::min<std::size_t>(1 + random() % 40, elements.size() - at), 0xa5);
      std::uint64_t n = 0;
      ASSERT_EQ(presence.take(piece, &n), DecodeError::ok);
      std::uint64_t ones = 0;
      for (std::size_t i = 0; i < piece.size(); ++i) {
        ASSERT_EQ(piece[i], static_cast<std::uint8_t>(elements[at + i])) << seed;
        ones += piece[i];
      }
      EXPECT_EQ(n, ones);
      at += piece.size();
    }
    if (!expected.empty()) {
      starts.pop_back();
      EXPECT_EQ(list_starts(rep, def, 3, 2, 1, levels.rep.size(), starts, &got), DecodeError::out_of_range);
    }
  }
}

TEST(Levels, CutOrFlippedNeverReadsOutside) {
  std::mt19937 random(5);
  const Levels levels = random_rows(random, false);
  const Bytes rep = encode(levels.rep, 1, random), def = encode(levels.def, 2, random);
  std::vector<std::uint32_t> starts(levels.rep.size());
  ListPage page;
  for (std::size_t n = 0; n < def.size(); ++n) {
    EXPECT_NE(list_starts(rep, std::span(def).first(n), 3, 2, 1, levels.rep.size(), starts, &page),
              DecodeError::ok);
  }
  for (std::size_t n = 0; n < rep.size(); ++n) {
    EXPECT_NE(list_starts(std::span(rep).first(n), def, 3, 2, 1, levels.rep.size(), starts, &page),
              DecodeError::ok);
  }
  for (int i = 0; i < 3000; ++i) {
    Bytes bad_rep = rep, bad_def = def;
    bad_rep[random() % bad_rep.size()] ^= static_cast<std::byte>(1 << random() % 8);
    bad_def[random() % bad_def.size()] ^= static_cast<std::byte>(1 << random() % 8);
    (void)list_starts(bad_rep, bad_def, 3, 2, 1, levels.rep.size(), starts, &page);
    EXPECT_LE(page.rows, starts.size());
  }
}

TEST(Levels, AllAt) {
  std::mt19937 random(1);
  std::vector<std::uint8_t> levels(1000, 1);
  bool all = false;
  ASSERT_EQ(all_at(encode(levels, 1, random), 1, 1000, &all), DecodeError::ok);
  EXPECT_TRUE(all);
  levels[777] = 0;
  const Bytes bytes = encode(levels, 1, random);
  ASSERT_EQ(all_at(bytes, 1, 1000, &all), DecodeError::ok);
  EXPECT_FALSE(all);
  std::vector<std::uint8_t> out(1000, 9);
  ASSERT_EQ(read_levels(bytes, 1, 1000, out.data()), DecodeError::ok);
  EXPECT_EQ(out, levels);
  EXPECT_EQ(level_width(0), 0);
  EXPECT_EQ(level_width(1), 1);
  EXPECT_EQ(level_width(3), 2);
  EXPECT_EQ(level_width(4), 3);
}

}  // namespace
}  // namespace penstock::parquet
