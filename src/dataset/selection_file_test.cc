#include "dataset/selection_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace penstock::internal {
namespace {

using ::testing::HasSubstr;
using Bytes = std::vector<std::uint8_t>;

const std::vector<std::string> kPaths = {"some/where/a.h5ad", "b.h5ad"};

Parts whole(const std::vector<std::uint64_t>& sizes) {
  Parts parts(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    parts[i].n_selected = sizes[i];
    parts[i].first_row = i == 0 ? 0 : parts[i - 1].first_row + sizes[i - 1];
  }
  return parts;
}

std::vector<std::int64_t> rows_of(const Parts& parts) {
  std::vector<std::int64_t> rows(selected_rows(parts));
  global_rows(parts, 0, rows);
  return rows;
}

class SelectionFile : public ::testing::Test {
 protected:
  std::shared_ptr<MemoryBudget> budget = MemoryBudget::create(10'000'000);
  Parts all = whole({300'000, 70'000});

  Result<Parts> parse(const std::string& bytes) {
    return parse_selection(kPaths, all, std::as_bytes(std::span(bytes)), "x.rows", *budget);
  }
  // A file whose first part has this bitmap, with a checksum that is right.
  std::string with_bitmap(const Bytes& bitmap, std::uint64_t n_selected) {
    const auto some = *select_slice(all, 5, 6, 1, *budget);
    std::string out = selection_bytes(kPaths, all, some);
    const std::size_t at =
        8 + 4 + 4 + 8 + 4 + std::string("a.h5ad").size() + 8;  // of the count of the first file
    out.replace(at, 8, reinterpret_cast<const char*>(&n_selected), 8);
    std::uint64_t length = 0;
    std::memcpy(&length, out.data() + at + 9, 8);
    const std::uint64_t n = bitmap.size();
    out.replace(at + 17, length, std::string(bitmap.begin(), bitmap.end()));
    out.replace(at + 9, 8, reinterpret_cast<const char*>(&n), 8);
    out.resize(out.size() - 8);
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : out) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return out.append(reinterpret_cast<const char*>(&hash), 8);
  }
};

TEST_F(SelectionFile, ComesBackAsItWas) {
  std::mt19937 random(1);
  std::vector<Parts> selections = {
      all, *select_slice(all, 0, 0, 1, *budget), *select_slice(all, 100, 320'000, 1, *budget),
      *select_slice(all, 3, 370'000, 2, *budget), *select_slice(all, 3, 370'000, 1000, *budget)};
  std::vector<std::uint8_t> mask(370'000);
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = random() % 64 < i / 6000 ? 1 : 0;
  selections.push_back(*select_mask(all, mask, *budget));
  for (const Parts& part : selections) {
    const auto again = parse(selection_bytes(kPaths, all, part));
    ASSERT_TRUE(again.ok()) << again.status().to_string();
    EXPECT_EQ(rows_of(*again), rows_of(part));
  }
}

TEST_F(SelectionFile, OtherFilesAreNamed) {
  const std::string bytes = selection_bytes(kPaths, all, all);
  const auto said = [&](const std::vector<std::string>& paths, const Parts& parts) {
    return parse_selection(paths, parts, std::as_bytes(std::span(bytes)), "x.rows", *budget)
        .status()
        .to_string();
  };
  EXPECT_THAT(said({"a.h5ad", "c.h5ad"}, all), HasSubstr("its file 2 is b.h5ad, here it is c.h5ad"));
  EXPECT_THAT(said(kPaths, whole({300'000, 70'001})),
              HasSubstr("b.h5ad had 70,000 rows, here it has 70,001"));
  EXPECT_THAT(said({"a.h5ad"}, whole({300'000})), HasSubstr("its file 2 is b.h5ad, here there are 1"));
  EXPECT_THAT(said({"a.h5ad", "b.h5ad", "c.h5ad"}, whole({300'000, 70'000, 1})),
              HasSubstr("c.h5ad is not in it"));
  // Folders do not matter.
  EXPECT_EQ(said({"/elsewhere/a.h5ad", "b.h5ad"}, all), Status().to_string());
}

TEST_F(SelectionFile, BitmapsAreChecked) {
  const auto head = [](std::uint32_t cookie, std::uint32_t n) {
    Bytes out;
    for (const std::uint32_t v : {cookie, n}) {
      for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<std::uint8_t>(v >> shift));
    }
    return out;
  };
  const auto append = [](Bytes out, const std::vector<std::uint16_t>& words) {
    for (const std::uint16_t w : words) {
      out.push_back(static_cast<std::uint8_t>(w));
      out.push_back(static_cast<std::uint8_t>(w >> 8));
    }
    return out;
  };
  // key 0, two rows; where they lie; 3 and 7
  const Bytes sound = append(head(12346, 1), {0, 1, 16, 0, 3, 7});
  const auto parsed = parse(with_bitmap(sound, 2));
  ASSERT_TRUE(parsed.ok()) << parsed.status().to_string();
  EXPECT_EQ(rows_of(*parsed)[1], 7);
  EXPECT_FALSE(parse(with_bitmap(sound, 3)).ok()) << "it says three";
  const Bytes runs = [&] {  // rows 3 to 5 as a run
    Bytes out = {0x3b, 0x30, 0, 0, 1};
    return append(out, {0, 2, 1, 3, 2});
  }();
  ASSERT_TRUE(parse(with_bitmap(runs, 3)).ok());
  const std::vector<Bytes> bad = {
      {},
      head(12345, 1),
      head(12346, 0xffffffff),
      append(head(12346, 1), {0, 1, 16, 0, 3}),                   // cut
      append(head(12346, 1), {0, 1, 16, 0, 3, 7, 9}),             // something behind it
      append(head(12346, 1), {0, 1, 16, 0, 7, 3}),                // falling
      append(head(12346, 1), {0, 1, 16, 0, 3, 3}),                // twice
      append(head(12346, 1), {4, 1, 16, 0, 3, 60'000}),           // beyond 300,000
      append(head(12346, 2), {1, 0, 0, 0, 0, 0, 0, 0, 3, 3}),     // keys fall
      append(head(12346, 1), {0, 0xffff, 16, 0, 3, 7}),           // a bitset that is not there
      append(Bytes{0x3b, 0x30, 0, 0, 1}, {0, 2, 1, 3, 0xffff}),   // a run beyond its container
      append(Bytes{0x3b, 0x30, 0, 0, 1}, {0, 3, 2, 3, 1, 4, 1}),  // runs that overlap
      append(Bytes{0x3b, 0x30, 0, 0, 1}, {0, 5, 1, 3, 2}),        // fewer rows than it says
  };
  for (std::size_t i = 0; i < bad.size(); ++i) {
    const auto result = parse(with_bitmap(bad[i], 2));
    EXPECT_EQ(result.status().code(), StatusCode::corrupt) << i;
  }
}

TEST_F(SelectionFile, EveryCutAndEveryChangeIsSeen) {
  const std::string good = selection_bytes(kPaths, all, *select_slice(all, 3, 300, 7, *budget));
  for (std::size_t i = 0; i < good.size(); ++i) {
    EXPECT_FALSE(parse(good.substr(0, i)).ok()) << i;
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    EXPECT_FALSE(parse(bad).ok()) << i;
  }
  EXPECT_FALSE(parse(good + "x").ok());
}

}  // namespace
}  // namespace penstock::internal
