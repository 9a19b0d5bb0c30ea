#include "plan/sampling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "base/permutation.h"
#include "dataset/selection.h"
#include "plan/tape.h"
#include "source/row_source.h"

namespace penstock::plan {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<MemoryBudget> ample() { return MemoryBudget::create(100'000'000); }

// Rows in blocks of `block` rows, by weight.
struct Rows {
  std::vector<std::uint64_t> weights;
  std::uint64_t block = 1;
  std::uint64_t n_blocks() const { return (weights.size() + block - 1) / block; }
  std::uint64_t mass() const { return std::accumulate(weights.begin(), weights.end(), std::uint64_t{0}); }
};

Sampling sampled(const Rows& rows, std::uint64_t epoch_size, bool weighted, MemoryBudget& budget) {
  auto sampling = Sampling::reserve(rows.n_blocks(), 11, budget);
  EXPECT_TRUE(sampling.ok());
  for (std::uint64_t b = 0; b < rows.n_blocks(); ++b) {
    std::uint64_t mass = 0;
    for (std::uint64_t i = b * rows.block;
         i < std::min<std::uint64_t>(rows.weights.size(), (b + 1) * rows.block); ++i)
      mass += rows.weights[i];
    sampling->set_mass(b, mass);
  }
  EXPECT_TRUE(sampling->finish({epoch_size, rows.weights.size(), weighted}).ok());
  return *std::move(sampling);
}

// The rows behind rows [first, last) of an epoch's tape, cut every `cut` rows.
std::vector<std::uint64_t> walk(const Rows& rows, const Sampling& sampling, std::uint64_t seed,
                                std::uint64_t epoch, bool shuffle, std::uint64_t first, std::uint64_t last,
                                std::uint64_t cut) {
  const BlockTable none;
  const Tape tape(&none, shuffle, seed, epoch, &sampling);
  const Copies copies(&sampling, seed, epoch);
  TapeCursor cursor(&tape, first);
  std::vector<std::uint64_t> out;
  for (std::uint64_t at = first; at < last; at = std::min(last, at + cut)) {
    Segment segment;
    while (cursor.next(std::min(last, at + cut), &segment)) {
      EXPECT_EQ(segment.tape_row, first + out.size());
      EXPECT_GT(segment.rows, 0u);
      const std::uint64_t begin = segment.block * rows.block;
      const std::uint64_t n = std::min<std::uint64_t>(rows.weights.size() - begin, rows.block);
      std::vector<Copies::OfRow> of_rows(n);
      for (std::uint64_t i = 0; i < n; ++i) of_rows[i].first = rows.weights[begin + i];
      copies.share_out({segment.block, segment.visit, segment.visits}, of_rows);
      for (std::uint64_t i = 0; i < n; ++i) {
        for (std::uint64_t c = of_rows[i].first; c < of_rows[i].last; ++c) {
          if (c >= segment.skip && c < segment.skip + segment.rows) out.push_back(begin + i);
        }
      }
    }
  }
  EXPECT_EQ(out.size(), last - first);
  return out;
}

Rows random_rows(std::uint64_t n, std::uint64_t block, std::uint64_t seed, std::uint64_t most) {
  Rows rows;
  rows.block = block;
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::uint64_t kind = mix(seed, i, 0) % 5;
    rows.weights.push_back(kind == 0 ? 0 : kind == 1 ? most * 50 : mix(seed, i, 1) % most);
  }
  return rows;
}

TEST(Sampling, EveryRowComesAsOftenAsItsWeightSaysToWithinOne) {
  const auto budget = ample();
  for (const std::uint64_t n : {1, 9, 500}) {
    for (const std::uint64_t block : {1, 7, 1000}) {
      for (const std::uint64_t epoch_size : {std::uint64_t{1}, n / 2 + 1, n, 3 * n + 1, 40 * n}) {
        Rows rows = random_rows(n, block, n + block, 1 << 20);
        rows.weights[n / 2] += 1;
        const Sampling sampling = sampled(rows, epoch_size, true, *budget);
        ASSERT_EQ(sampling.epochs_per_pass(), 1u) << "few blocks are not shared out";
        for (const bool shuffle : {true, false}) {
          for (const std::uint64_t epoch : {0, 5}) {
            const auto got = walk(rows, sampling, 3, epoch, shuffle, 0, epoch_size, epoch_size);
            std::vector<std::uint64_t> times(n);
            for (const std::uint64_t row : got) ++times[row];
            for (std::uint64_t i = 0; i < n; ++i) {
              const double expected = static_cast<double>(epoch_size) * static_cast<double>(rows.weights[i]) /
                                      static_cast<double>(rows.mass());
              ASSERT_GE(static_cast<double>(times[i]), std::floor(expected - 1e-9)) << i;
              ASSERT_LE(static_cast<double>(times[i]), std::ceil(expected + 1e-9)) << i;
            }
            // Blocks, to within one.
            for (std::uint64_t from = 0; from < n; from += block) {
              double expected = 0, found = 0;
              for (std::uint64_t i = from; i < std::min(n, from + block); ++i) {
                expected += static_cast<double>(epoch_size) * static_cast<double>(rows.weights[i]) /
                            static_cast<double>(rows.mass());
                found += static_cast<double>(times[i]);
              }
              ASSERT_NEAR(found, expected, 1 + 1e-6);
            }
          }
        }
      }
    }
  }
}

TEST(Sampling, CutsOfTheTapeAreThatTape) {
  const auto budget = ample();
  const Rows rows = random_rows(300, 10, 4, 1000);
  const Sampling sampling = sampled(rows, 900, true, *budget);
  EXPECT_GT(sampling.n_visits(), rows.n_blocks());
  const auto whole = walk(rows, sampling, 1, 2, true, 0, 900, 900);
  for (const std::uint64_t cut : {1, 13, 250})
    EXPECT_EQ(walk(rows, sampling, 1, 2, true, 0, 900, cut), whole);
  for (const std::uint64_t first : {1, 450, 899}) {
    EXPECT_EQ(walk(rows, sampling, 1, 2, true, first, 900, 100),
              std::vector<std::uint64_t>(whole.begin() + static_cast<std::ptrdiff_t>(first), whole.end()));
  }
}

TEST(Sampling, EpochsDifferAndRepeat) {
  const auto budget = ample();
  const Rows rows = random_rows(1000, 10, 4, 1000);
  const Sampling sampling = sampled(rows, 700, true, *budget);
  const auto first = walk(rows, sampling, 1, 0, false, 0, 700, 700);
  EXPECT_EQ(walk(rows, sampling, 1, 0, false, 0, 700, 700), first);
  EXPECT_NE(walk(rows, sampling, 1, 1, false, 0, 700, 700), first);
  EXPECT_NE(walk(rows, sampling, 2, 0, false, 0, 700, 700), first);
  // Over many epochs a row comes as often as its weight says: the offset is spread evenly.
  std::vector<double> times(1000);
  for (std::uint64_t epoch = 0; epoch < 400; ++epoch) {
    for (const std::uint64_t row : walk(rows, sampling, 9, epoch, false, 0, 700, 700))
      times[row] += 1.0 / 400;
  }
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const double expected = 700.0 * static_cast<double>(rows.weights[i]) / static_cast<double>(rows.mass());
    EXPECT_NEAR(times[i], expected, 0.12) << i;
  }
}

// Rows of small blocks, or with few others of any weight, come as often as they should, too: a block has one
// copy more or less from epoch to epoch, and that must not favour light rows.
TEST(Sampling, ChancesAreExactInBlocksOfFewRows) {
  const auto budget = ample();
  for (const std::uint64_t block : {2, 5, 16}) {
    Rows rows;
    rows.block = block;
    for (std::uint64_t i = 0; i < 480; ++i)
      rows.weights.push_back(block == 16 && i % 8 != 0 ? 0 : i % 2 == 0 ? 900 + i % 7 : 600 - i % 5);
    const std::uint64_t epoch_size = rows.mass() / 1000;
    const Sampling sampling = sampled(rows, epoch_size, true, *budget);
    constexpr std::uint64_t kEpochs = 3000;
    double mean[2] = {}, expected[2] = {};
    std::vector<double> times(480);
    for (std::uint64_t epoch = 0; epoch < kEpochs; ++epoch) {
      for (const std::uint64_t row : walk(rows, sampling, 5, epoch, true, 0, epoch_size, epoch_size))
        times[row] += 1.0 / kEpochs;
    }
    for (std::uint64_t i = 0; i < 480; ++i) {
      const double due = static_cast<double>(epoch_size * rows.weights[i]) / static_cast<double>(rows.mass());
      EXPECT_NEAR(times[i], due, 0.05) << i << " in blocks of " << block;
      mean[i % 2] += times[i];
      expected[i % 2] += due;
    }
    EXPECT_NEAR(mean[0] / expected[0], 1, 0.005) << block;
    if (expected[1] > 0) EXPECT_NEAR(mean[1] / expected[1], 1, 0.005) << block;
  }
}

// Epochs much smaller than the data share it: together they hold each row as often as a pass does, and each
// has a part of the blocks.
TEST(Sampling, SmallEpochsShareThePass) {
  const auto budget = ample();
  Rows rows;
  rows.block = 2;
  rows.weights.assign(6000, 1);
  const Sampling sampling = sampled(rows, 600, false, *budget);
  ASSERT_EQ(sampling.epochs_per_pass(), 10u);
  std::vector<int> times(6000);
  for (std::uint64_t epoch = 0; epoch < 10; ++epoch) {
    for (const std::uint64_t row : walk(rows, sampling, 1, epoch, true, 0, 600, 77)) ++times[row];
  }
  for (const int n : times) ASSERT_EQ(n, 1);
  EXPECT_NE(walk(rows, sampling, 1, 10, true, 0, 600, 77), walk(rows, sampling, 1, 0, true, 0, 600, 77));

  // Weighted epochs keep many more blocks.
  EXPECT_EQ(sampled(rows, 600, true, *budget).epochs_per_pass(), 1u);
  Rows many;
  many.block = 1;
  many.weights.assign(40'000, 3);
  EXPECT_EQ(sampled(many, 600, true, *budget).epochs_per_pass(), 2u);
  // An epoch that does not divide the data: the pass leaves a few rows out, which ones changes.
  const Sampling odd = sampled(rows, 700, false, *budget);
  ASSERT_EQ(odd.epochs_per_pass(), 8u);
  std::vector<int> odd_times(6000);
  for (std::uint64_t epoch = 0; epoch < 8; ++epoch) {
    for (const std::uint64_t row : walk(rows, odd, 1, epoch, true, 0, 700, 700)) ++odd_times[row];
  }
  EXPECT_EQ(std::accumulate(odd_times.begin(), odd_times.end(), 0), 5600);
  EXPECT_EQ(*std::max_element(odd_times.begin(), odd_times.end()), 1);
}

// Every fifth row is of a class that weighs half: points in file order would be 1.3 rows apart, in step with
// the pattern, and miss a class.
TEST(Sampling, PatternsInTheFilesDoNotMeetThePoints) {
  const auto budget = ample();
  Rows rows;
  rows.block = 20;
  const std::uint64_t weights[] = {80, 20, 0, 20, 10};
  for (std::uint64_t i = 0; i < 10'000; ++i) rows.weights.push_back(weights[i % 5]);
  for (const std::uint64_t epoch_size : {2000, 10'000, 26'000}) {
    const Sampling sampling = sampled(rows, epoch_size, true, *budget);
    for (std::uint64_t epoch = 0; epoch < 5; ++epoch) {
      double classes[5] = {};
      for (const std::uint64_t row : walk(rows, sampling, 1, epoch, false, 0, epoch_size, epoch_size))
        classes[row % 5] += 1;
      for (int c = 0; c < 5; ++c) {
        const double expected = static_cast<double>(epoch_size * weights[c]) / 130;
        EXPECT_NEAR(classes[c], expected, 4 * std::sqrt(expected) + 1) << c;
      }
    }
  }
}

// A rare class: its copies do not lie in a row.
TEST(Sampling, CopiesOfARareClassAreSpread) {
  const auto budget = ample();
  Rows rows;
  rows.block = 10;
  rows.weights.assign(10'000, 1000);
  for (std::uint64_t i = 5000; i < 5010; ++i) rows.weights[i] = 1'000'000;
  const Sampling sampling = sampled(rows, 10'000, true, *budget);
  const auto got = walk(rows, sampling, 1, 0, true, 0, 10'000, 10'000);
  std::uint64_t run = 0, longest = 0, copies = 0;
  for (const std::uint64_t row : got) {
    const bool rare = row >= 5000 && row < 5010;
    run = rare ? run + 1 : 0;
    longest = std::max(longest, run);
    copies += rare ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(copies), 5000, 20);
  EXPECT_LT(longest, 400u) << "half of the epoch is of one block, in visits of 40";
  EXPECT_LT(sampling.n_visits(), 1000 + 1000 / 4);
  EXPECT_GT(sampling.rows_per_visit(), 10);
  EXPECT_LT(sampling.rows_per_visit(), 40);
}

TEST(Sampling, EveryRowOnceIsWhatUniformWeightsGive) {
  const auto budget = ample();
  Rows rows;
  rows.block = 7;
  rows.weights.assign(100, kMass / 100);
  const Sampling sampling = sampled(rows, 100, true, *budget);
  auto got = walk(rows, sampling, 8, 3, true, 0, 100, 9);
  std::sort(got.begin(), got.end());
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_EQ(got[i], i);
  EXPECT_NEAR(sampling.rows_per_visit(), 7, 0.2);
}

TEST(Sampling, InFileOrderABlockIsVisitedOnce) {
  const auto budget = ample();
  auto sampling = Sampling::reserve(3, 1, *budget);
  ASSERT_TRUE(sampling.ok());
  for (std::uint64_t b = 0; b < 3; ++b) sampling->set_mass(b, b == 1 ? 1000 : 1);
  ASSERT_TRUE(sampling->finish({.epoch_size = 600, .n_rows = 30, .weighted = true, .shuffle = false}).ok());
  EXPECT_EQ(sampling->n_visits(), 3u);
}

TEST(Sampling, NothingToSampleAndTooLittleMemory) {
  const auto budget = ample();
  auto sampling = Sampling::reserve(2, 1, *budget);
  ASSERT_TRUE(sampling.ok());
  EXPECT_THAT(sampling->finish({10, 20, true}).message(), HasSubstr("no selected row has a weight above 0"));
  const auto little = MemoryBudget::create(1000);
  const auto refused = Sampling::reserve(1000, 1, *little);
  EXPECT_EQ(refused.status().code(), StatusCode::budget);
  EXPECT_THAT(refused.status().message(), HasSubstr("weights of blocks"));
  EXPECT_EQ(little->usage().used, 0u);
}

}  // namespace
}  // namespace penstock::plan
