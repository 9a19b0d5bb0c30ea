#include "dataset/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

namespace penstock::internal {
namespace {

using ::testing::ElementsAre;
using Rows = std::vector<std::int64_t>;

Parts whole(const std::vector<std::uint64_t>& sizes) {
  Parts parts;
  RowIndex first = 0;
  for (const std::uint64_t n : sizes) {
    FilePart part;
    part.first_row = first;
    part.n_selected = n;
    first += n;
    parts.push_back(part);
  }
  return parts;
}

Rows rows_of(const Parts& parts) {
  Rows rows(selected_rows(parts));
  global_rows(parts, 0, rows);
  return rows;
}

std::shared_ptr<MemoryBudget> ample() { return MemoryBudget::create(100'000'000); }

// What a selection must give: the chosen positions of the rows it is made from.
Rows chosen(const Rows& rows, const std::vector<std::uint64_t>& positions) {
  Rows out;
  for (const std::uint64_t p : positions) out.push_back(rows[p]);
  return out;
}

// A few selections to select from again.
std::vector<Parts> starting_points(MemoryBudget& budget) {
  const Parts all = whole({10, 0, 37, 1, 0, 200});
  std::vector<Parts> out{all, whole({5}), whole({0}), whole({})};
  out.push_back(*select_slice(all, 3, 230, 1, budget));
  out.push_back(*select_slice(all, 1, 248, 3, budget));
  out.push_back(*select_slice(out.back(), 2, 70, 2, budget));
  std::vector<std::uint8_t> mask(248);
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = i % 7 < 3 ? 1 : 0;
  out.push_back(*select_mask(all, mask, budget));
  return out;
}

TEST(Selection, SlicesComposeLikePythons) {
  const auto budget = ample();
  for (const Parts& from : starting_points(*budget)) {
    const Rows rows = rows_of(from);
    for (const std::uint64_t start : {0, 1, 5, 40, 300}) {
      for (const std::uint64_t stop : {0, 1, 7, 60, 1000}) {
        for (const std::uint64_t step :
             {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{13}, ~std::uint64_t{0}}) {
          const auto sliced = select_slice(from, start, stop, step, *budget);
          ASSERT_TRUE(sliced.ok());
          std::vector<std::uint64_t> positions;
          for (std::uint64_t p = start; p < std::min<std::uint64_t>(stop, rows.size());) {
            positions.push_back(p);
            if (step > stop) break;
            p += step;
          }
          ASSERT_EQ(rows_of(*sliced), chosen(rows, positions)) << start << ":" << stop << ":" << step;
          ASSERT_EQ(sliced->size(), from.size());
        }
      }
    }
  }
}

TEST(Selection, MasksAndPositions) {
  const auto budget = ample();
  std::mt19937_64 random(4);
  for (const Parts& from : starting_points(*budget)) {
    const Rows rows = rows_of(from);
    for (const int share : {0, 1, 5, 100}) {
      std::vector<std::uint8_t> mask(rows.size());
      std::vector<std::uint64_t> positions;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        mask[i] = static_cast<int>(random() % 100) < share ? 1 : 0;
        if (mask[i] != 0) positions.push_back(i);
      }
      ASSERT_EQ(rows_of(*select_mask(from, mask, *budget)), chosen(rows, positions));
      Rows shuffled(positions.begin(), positions.end());
      std::shuffle(shuffled.begin(), shuffled.end(), random);
      ASSERT_EQ(rows_of(*select_positions(from, shuffled, *budget)), chosen(rows, positions));
    }
  }
  EXPECT_EQ(select_mask(whole({3}), std::vector<std::uint8_t>(2), *budget).status().code(),
            StatusCode::invalid_argument);
  for (const Rows& bad : {Rows{0, 3}, Rows{-1}, Rows{1, 2, 1}}) {
    EXPECT_EQ(select_positions(whole({2, 1}), bad, *budget).status().code(), StatusCode::invalid_argument);
  }
}

TEST(Selection, EverythingSharesWhatItCameFrom) {
  const auto budget = ample();
  const Parts all = whole({10, 20});
  EXPECT_EQ(select_slice(all, 0, 30, 1, *budget)->at(1).selected, nullptr);
  const Parts some = *select_slice(all, 0, 30, 2, *budget);
  EXPECT_EQ(select_slice(some, 0, 15, 1, *budget)->at(0).selected, some[0].selected);
}

TEST(Selection, BitmapsAreReserved) {
  const auto budget = ample();
  {
    const Parts some = *select_slice(whole({100000}), 0, 100000, 2, *budget);
    EXPECT_GT(budget->usage().used, 8000u);
  }
  EXPECT_EQ(budget->usage().used, 0u);
  const auto small = MemoryBudget::create(1000);
  EXPECT_EQ(select_slice(whole({100000}), 0, 100000, 2, *small).status().code(), StatusCode::budget);
}

TEST(Selection, GlobalRowsFromAnywhere) {
  const auto budget = ample();
  for (const Parts& from : starting_points(*budget)) {
    const Rows rows = rows_of(from);
    for (std::size_t first = 0; first <= rows.size(); first += 1 + first / 4) {
      Rows out(std::min<std::size_t>(rows.size() - first, 9));
      global_rows(from, first, out);
      ASSERT_EQ(out, Rows(rows.begin() + static_cast<std::ptrdiff_t>(first),
                          rows.begin() + static_cast<std::ptrdiff_t>(first + out.size())));
    }
  }
}

// --- split ---

std::vector<Parts> split_or_die(const Parts& from, const std::vector<double>& fractions, std::uint64_t seed,
                                MemoryBudget& budget) {
  auto out = split(from, fractions, seed, budget);
  EXPECT_TRUE(out.ok()) << out.status().to_string();
  return std::move(out).value();
}

TEST(Split, PartsAreDisjointAndOfExactSize) {
  const auto budget = ample();
  for (const Parts& from : starting_points(*budget)) {
    const Rows rows = rows_of(from);
    const double n = static_cast<double>(rows.size());
    for (const std::vector<double>& fractions : {std::vector<double>{0.9, 0.1},
                                                 {0.7, 0.2, 0.1},
                                                 {1.0 / 3, 1.0 / 3, 1.0 / 3},
                                                 {0.25},
                                                 {1.0},
                                                 {0.0, 1.0}}) {
      const auto parts = split_or_die(from, fractions, 0, *budget);
      std::set<std::int64_t> seen;
      double end = 0, begin = 0;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        const Rows mine = rows_of(parts[i]);
        ASSERT_TRUE(std::is_sorted(mine.begin(), mine.end()));
        ASSERT_EQ(parts[i].size(), from.size());
        end += fractions[i];
        ASSERT_EQ(static_cast<double>(mine.size()), std::nearbyint(end * n) - std::nearbyint(begin * n));
        begin = end;
        for (const std::int64_t row : mine) ASSERT_TRUE(seen.insert(row).second);
      }
      ASSERT_TRUE(std::includes(rows.begin(), rows.end(), seen.begin(), seen.end()));
    }
  }
}

TEST(Split, IsReproducibleFromTheSeed) {
  const auto budget = ample();
  const Parts all = whole({100, 900});
  const auto a = split_or_die(all, {0.5, 0.5}, 1, *budget), b = split_or_die(all, {0.5, 0.5}, 1, *budget),
             c = split_or_die(all, {0.5, 0.5}, 2, *budget);
  EXPECT_EQ(rows_of(a[0]), rows_of(b[0]));
  EXPECT_NE(rows_of(a[0]), rows_of(c[0]));
  // Spread over the whole: each file gives about half.
  EXPECT_NEAR(static_cast<double>(a[0][0].n_selected), 50, 20);
}

TEST(Split, LargeSetsAreSplitByRuns) {
  const auto budget = ample();
  const std::uint64_t n = 1'000'003;
  const Parts all = whole({n / 3, n - n / 3});
  const auto parts = split_or_die(all, {0.8, 0.15, 0.05}, 9, *budget);
  std::uint64_t total = 0;
  std::vector<std::uint8_t> owner(n, 0);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (const std::int64_t row : rows_of(parts[i])) {
      ASSERT_EQ(owner[static_cast<std::size_t>(row)], 0);
      owner[static_cast<std::size_t>(row)] = static_cast<std::uint8_t>(i + 1);
    }
    total += selected_rows(parts[i]);
  }
  EXPECT_EQ(total, n);
  EXPECT_EQ(selected_rows(parts[0]), 800'002u);
  // Rows change hands at the borders of runs of 256, and at most twice elsewhere (where a part ends in a
  // run).
  int elsewhere = 0;
  for (std::size_t i = 1; i < n; ++i) elsewhere += owner[i] != owner[i - 1] && i % 256 != 0 ? 1 : 0;
  EXPECT_LE(elsewhere, 2);
  // A selection of such a set is split by runs of its own positions.
  const Parts odd = *select_slice(whole({3 * n}), 0, 3 * n, 2, *budget);
  const auto halves = split_or_die(odd, {0.5, 0.5}, 9, *budget);
  EXPECT_EQ(selected_rows(halves[0]) + selected_rows(halves[1]), selected_rows(odd));
}

TEST(Split, BadFractionsAreRefused) {
  const auto budget = ample();
  const Parts all = whole({10});
  for (const std::vector<double>& bad : {std::vector<double>{},
                                         {-0.1},
                                         {0.6, 0.6},
                                         {std::nan("")},
                                         {std::numeric_limits<double>::infinity()}}) {
    EXPECT_EQ(split(all, bad, 0, *budget).status().code(), StatusCode::invalid_argument);
  }
}

}  // namespace
}  // namespace penstock::internal
