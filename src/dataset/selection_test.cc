#include "dataset/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include "dataset/testing/parts.h"

namespace penstock::internal {
namespace {

using testing::ample;
using ::testing::ElementsAre;
using testing::Rows;
using testing::rows_of;
using testing::whole;

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

TEST(Selection, JoinsAreThoseOfSets) {
  const auto budget = ample();
  const auto points = starting_points(*budget);
  std::vector<Parts> of_six;  // selections of the same files
  for (const Parts& from : points) {
    if (from.size() == 6) of_six.push_back(from);
  }
  of_six.push_back(*select_slice(of_six[0], 0, 0, 1, *budget));
  of_six.push_back(*select_slice(of_six[0], 5, 100, 2, *budget));
  for (const Parts& one : of_six) {
    for (const Parts& other : of_six) {
      const Rows a = rows_of(one), b = rows_of(other);
      Rows either, both, without;
      std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(either));
      std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
      std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(without));
      ASSERT_EQ(rows_of(*join_rows(one, other, RowJoin::either, *budget)), either);
      ASSERT_EQ(rows_of(*join_rows(one, other, RowJoin::both, *budget)), both);
      ASSERT_EQ(rows_of(*join_rows(one, other, RowJoin::without, *budget)), without);
    }
  }
  EXPECT_GE(of_six.size(), 6u);
  const auto small = MemoryBudget::create(50);
  EXPECT_EQ(join_rows(of_six[0], of_six[1], RowJoin::without, *small).status().code(), StatusCode::budget);
}

TEST(Selection, PositionsOfGlobalRows) {
  const auto budget = ample();
  std::mt19937_64 random(7);
  auto points = starting_points(*budget);
  points.push_back(
      *select_slice(whole({100'000, 0, 70'000}), 3, 170'000, 7, *budget));  // far from each other
  for (const Parts& from : points) {
    const Rows rows = rows_of(from);
    Rows asked = rows, found(rows.size());
    ASSERT_TRUE(positions_of(from, asked, found).ok());
    for (std::size_t i = 0; i < rows.size(); ++i) ASSERT_EQ(found[i], static_cast<std::int64_t>(i));
    // Any order, some twice.
    for (std::size_t i = 0; i < rows.size(); ++i) asked[i] = rows[random() % rows.size()];
    ASSERT_TRUE(positions_of(from, asked, found).ok());
    for (std::size_t i = 0; i < rows.size(); ++i)
      ASSERT_EQ(rows[static_cast<std::size_t>(found[i])], asked[i]);
    std::set<std::int64_t> selected(rows.begin(), rows.end());
    for (const std::int64_t row : {-1, 0, 1, 2, 9, 10, 47, 48, 247, 248, 99'999, 100'000, 170'000}) {
      Rows one(1);
      ASSERT_EQ(positions_of(from, Rows{row}, one).ok(), selected.contains(row)) << row;
    }
  }
}

}  // namespace
}  // namespace penstock::internal
