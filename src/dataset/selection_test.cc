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

TEST(Selection, WithoutAnother) {
  const auto budget = ample();
  const Parts all = whole({10, 0, 37, 1, 0, 200});
  for (const Parts& from : {all, *select_slice(all, 1, 248, 3, *budget)}) {
    for (const Parts& other :
         {all, *select_slice(all, 0, 0, 1, *budget), *select_slice(all, 5, 100, 2, *budget)}) {
      const Rows a = rows_of(from), b = rows_of(other);
      Rows expected;
      std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(expected));
      ASSERT_EQ(rows_of(*select_without(from, other, *budget)), expected);
    }
  }
}

}  // namespace
}  // namespace penstock::internal
