#include "penstock/plan.h"

#include <gtest/gtest.h>

#include <set>

#include "plan/sizing.h"
#include "plan/windows.h"
#include "plan/worth.h"

namespace penstock::plan {
namespace {

TEST(RankShare, PartitionsTheTapeWithEqualCounts) {
  for (const std::uint64_t n : {0, 1, 2, 7, 64, 1000, 1001}) {
    for (std::uint32_t world = 1; world <= 17; ++world) {
      for (const std::uint64_t q : {1, 3, 64}) {
        std::uint64_t next = 0;
        std::set<std::uint64_t> counts;
        for (std::uint32_t r = 0; r < world; ++r) {
          const Share s = rank_share(n, r, world, q, false);
          EXPECT_EQ(s.first, next);
          next = s.last;
          counts.insert(s.n_batches);
          WindowSequence windows(s, q, 10 * q, true);
          std::uint64_t row = s.first, batches = 0;
          while (const auto w = windows.next()) {
            EXPECT_EQ(w->first_batch, batches);
            batches += w->n_batches;
            if (w->repeat) {
              EXPECT_LT(w->first, n);
              continue;
            }
            EXPECT_EQ(w->first, row);
            row += w->rows;
            if (row < s.last) EXPECT_EQ(w->rows % q, 0u);
          }
          EXPECT_EQ(row, s.last);
          EXPECT_EQ(batches, s.n_batches);
        }
        EXPECT_EQ(next, n);
        EXPECT_EQ(counts.size(), 1u) << n << " rows, " << world << " ranks, batch " << q;
      }
    }
  }
}

TEST(RankShare, DropLastKeepsWholeBatchesOnly) {
  for (std::uint32_t world = 1; world <= 5; ++world) {
    for (std::uint32_t r = 0; r < world; ++r) {
      const Share s = rank_share(1003, r, world, 16, true);
      EXPECT_EQ(s.last - s.first, s.n_batches * 16);
      EXPECT_EQ(s.n_batches, 1003 / world / 16);
      EXPECT_FALSE(s.repeat);
    }
  }
}

TEST(RankShare, HugeNumbersDoNotOverflow) {
  const std::uint64_t n = std::uint64_t{1} << 60;
  EXPECT_EQ(rank_share(n, 99, 100, 1024, false).last, n);
}

TEST(WindowSequence, RampsUpInEpochZeroOnly) {
  const Share s = rank_share(10000, 0, 1, 10, false);
  WindowSequence ramp(s, 10, 805, true);
  EXPECT_EQ(ramp.next()->rows, 100u);
  EXPECT_EQ(ramp.next()->rows, 200u);
  EXPECT_EQ(ramp.next()->rows, 400u);
  EXPECT_EQ(ramp.next()->rows, 600u);
  EXPECT_EQ(ramp.next()->rows, 800u);
  WindowSequence flat(s, 10, 805, false);
  EXPECT_EQ(flat.next()->rows, 770u);
}

TEST(WindowSequence, NoWindowIsSmallBecauseItIsLast) {
  for (const std::uint64_t rows : {1ull, 799ull, 800ull, 801ull, 4321ull, 10000ull}) {
    const Share s = rank_share(rows, 0, 1, 10, false);
    WindowSequence sequence(s, 10, 805, false);
    std::uint64_t least = rows, most = 0, sum = 0, windows = 0;
    while (const auto window = sequence.next()) {
      EXPECT_TRUE(window->rows % 10 == 0 || window->first + window->rows == rows);
      least = std::min(least, window->n_batches);
      most = std::max(most, window->n_batches);
      sum += window->rows;
      ++windows;
    }
    EXPECT_EQ(sum, rows);
    EXPECT_EQ(windows, (rows + 799) / 800) << rows;
    EXPECT_LE(most, 80u);
    EXPECT_LE(most - least, 1u) << rows;
  }
}

SizingInput tahoe() {
  SizingInput in;
  in.memory = 512'000'000;
  in.batch_size = 4096;
  in.n_rows = 10'000'000;
  in.n_cols = 62710;
  for (int i = 0; i < 1000; ++i) in.lengths.add(900 + i);
  in.rows_per_chunk = 12;
  in.head_cost = head_cost(true, true);
  return in;
}

TEST(SizeWindow, FollowsTheRulesOfTheDesign) {
  const auto w = size_window(tahoe());
  ASSERT_TRUE(w.ok());
  EXPECT_EQ(w->window_rows % 4096, 0u);
  EXPECT_GT(w->window_rows, 45'000u) << "about 4.25 KB a cell in 256 MB";
  EXPECT_LE(w->window_bytes, 256'000'000u);
  EXPECT_GE(w->q_eff, 0.8 * 1024 * 0.99);
  EXPECT_GE(w->block_rows, 36u);
  EXPECT_GE(w->page_bytes, 16u << 10);
  EXPECT_LE(w->page_bytes, 256u << 10);
  // With chunks whose heads cannot be had alone, the amplification rule asks for longer blocks.
  SizingInput whole = tahoe();
  whole.head_cost = head_cost(false, true);
  EXPECT_GE(size_window(whole)->block_rows, 80u);
}

TEST(SizeWindow, MoreMemoryNeverMeansASmallerWindow) {
  SizingInput in = tahoe();
  in.batch_size = 64;
  std::uint64_t last = 0;
  for (in.memory = 16'000'000; in.memory < 20'000'000'000; in.memory *= 2) {
    const auto w = size_window(in);
    ASSERT_TRUE(w.ok());
    EXPECT_GE(w->window_rows, last);
    last = w->window_rows;
  }
}

TEST(SizeWindow, BlocksInFileOrderLeaveRoomBesideTheWindow) {
  SizingInput in = tahoe();
  in.shuffle = false;
  in.rows_per_chunk = 700;  // 1 million entries
  for (in.memory = 64'000'000; in.memory < 20'000'000'000; in.memory *= 2) {
    const auto w = size_window(in);
    ASSERT_TRUE(w.ok());
    // As stored without compression: 8 bytes an entry.
    const double block = 8.0 * 1400 * static_cast<double>(w->block_rows);
    EXPECT_LE(2 * block, 0.5 * static_cast<double>(in.memory) / 2) << in.memory;
    EXPECT_LE(decode_cost(static_cast<double>(w->block_rows), 700, in.head_cost),
              in.memory < 200'000'000 ? 2 : 1.16);
  }
}

TEST(SizeWindow, HoldsEverythingWhenItCan) {
  SizingInput in = tahoe();
  in.n_rows = 5000;
  const auto w = size_window(in);
  ASSERT_TRUE(w.ok());
  EXPECT_EQ(w->window_rows, 8192u);
  EXPECT_LT(w->window_bytes, 60'000'000u) << "memory that is not needed is not taken";
}

TEST(SizeWindow, AGivenWindowThatDoesNotFitIsAnErrorWithNumbers) {
  SizingInput in = tahoe();
  in.window_rows = 1'000'000;
  const auto w = size_window(in);
  ASSERT_FALSE(w.ok());
  EXPECT_EQ(w.status().code(), StatusCode::budget);
  EXPECT_NE(w.status().message().find("window_rows <= "), std::string::npos) << w.status().message();
}

TEST(BatchWorth, IsTheDesignsFormulaForATapeOfManyWindows) {
  const Share share = rank_share(1'000'000'000, 0, 1, 4096, false);
  const BatchWorth worth(4096, 109, 110'592, 1'000'000'000, share);
  EXPECT_NEAR(worth.stated(), effective_rows(4096, 109, 110'592), 0.1);
  EXPECT_NEAR(worth.of(110'592), worth.stated(), 0.1);
  EXPECT_EQ(worth.of(1'000'000'000), 4096) << "all rows: a batch is a random one";
}

// Windows of an epoch without a ramp are never worth less than stated, however the share is cut.
TEST(BatchWorth, HoldsForEveryWindowOfALaterEpoch) {
  for (const std::uint64_t rows : {100'000, 110'592, 120'000, 200'000, 222'000, 5'000'000}) {
    for (const std::uint32_t world : {1, 2, 3, 8}) {
      const Share share = rank_share(rows, world - 1, world, 64, false);
      const BatchWorth worth(64, 390, 99'136, rows, share);
      EXPECT_LE(worth.stated(), effective_rows(64, 390, 99'136));
      if (world == 1) EXPECT_NEAR(worth.stated(), effective_rows(64, 390, 99'136), 0.1);
      WindowSequence windows(share, 64, 99'136, false);
      while (const auto window = windows.next()) EXPECT_TRUE(window->repeat || !worth.less(*window)) << rows;
    }
  }
  // A rank's share of a little more than a window is cut into two halves.
  const BatchWorth halves(64, 390, 99'136, 800'000, rank_share(800'000, 0, 8, 64, false));
  EXPECT_LT(halves.stated(), 0.9 * effective_rows(64, 390, 99'136));
}

TEST(BatchWorth, KnowsTheSmallWindowsOfAFirstEpoch) {
  const Share share = rank_share(200'000, 0, 1, 4096, false);
  const BatchWorth worth(4096, 109, 110'592, 200'000, share);
  WindowSequence windows(share, 4096, 110'592, true);
  std::uint64_t less = 0, batches = 0;
  while (const auto window = windows.next()) {
    batches += window->n_batches;
    if (worth.less(*window)) less += window->n_batches;
  }
  EXPECT_EQ(batches, 49u);
  EXPECT_EQ(less, 29u) << "all but the window of three quarters: the others leave a small last one";
}

TEST(SizeRest, ThreadsAndReadAheadShrinkUntilTheyFit) {
  SizingInput in = tahoe();
  RestInput rest;
  rest.window_bytes = 250'000'000;
  rest.scratch_per_thread = 10'000'000;
  rest.fetch_largest = 1'000'000;
  rest.fetch_typical = 500'000;
  rest.batch = {20'000'000, 30'000'000};
  rest.threads_wanted = 64;
  const auto r = size_rest(in, rest);
  ASSERT_TRUE(r.ok());
  EXPECT_LT(r->threads, 64u);
  EXPECT_GE(r->threads, 2u);
  EXPECT_LE(r->scratch_bytes + r->fetch_bytes + r->slots_bytes, 262'000'000u);
  EXPECT_GE(r->slots_bytes, 80'000'000u) << "four batches can always be held";
}

TEST(SizeRest, SaysWhatIsTooLarge) {
  SizingInput in = tahoe();
  RestInput rest;
  rest.window_bytes = 256'000'000;
  rest.batch = {100'000'000, 110'000'000};
  const auto r = size_rest(in, rest);
  ASSERT_FALSE(r.ok());
  EXPECT_NE(r.status().message().find("a CSR batch of 4,096 rows is 100 MB"), std::string::npos)
      << r.status().message();
  rest.batch = {1'000, 1'000};
  rest.fetch_largest = 200'000'000;
  EXPECT_NE(size_rest(in, rest).status().message().find("two blocks of 200 MB"), std::string::npos);
}

TEST(Plan, SummaryReadsLikeASentence) {
  Plan p;
  p.n_files = 4;
  p.n_rows = 100000;
  p.memory = 256'000'000;
  p.window_rows = 28672;
  p.n_blocks = 480;
  p.threads = 2;
  p.seconds_per_epoch = 2.04;
  EXPECT_EQ(p.summary(),
            "4 files \u00b7 100,000 cells \u00b7 256 MB \u2192 window 28,672 cells, 480 blocks \u00b7 2 "
            "threads \u00b7 ~2.0 s/epoch");
}

}  // namespace
}  // namespace penstock::plan
