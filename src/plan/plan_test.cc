#include "penstock/plan.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "penstock/fields.h"
#include "penstock/mixing.h"
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
          WindowSequence windows(s, 10 * q, true);
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
            // The last two batches may lie in windows of their own.
            if (row < s.last && s.last - row > q) EXPECT_EQ(w->rows % q, 0u);
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

// Sizes of a rank's batches, by its windows; 0 is the row that is repeated.
std::vector<std::uint64_t> batch_sizes(const Share& share, std::uint64_t window_rows, bool ramp) {
  std::vector<std::uint64_t> sizes;
  WindowSequence windows(share, window_rows, ramp);
  while (const auto w = windows.next()) {
    for (std::uint64_t b = 0; b < w->n_batches; ++b)
      sizes.push_back(w->repeat ? 0 : w->before(b + 1) - w->before(b));
  }
  return sizes;
}
using Sizes = std::vector<std::uint64_t>;

TEST(BatchCut, TheLastTwoShareWhatIsLeft) {
  const auto of = [](std::uint64_t n, std::uint32_t rank, std::uint32_t world, std::uint64_t q) {
    return batch_sizes(rank_share(n, rank, world, q, false), 10 * q, false);
  };
  EXPECT_EQ(of(65, 0, 1, 32), (Sizes{32, 17, 16}));
  EXPECT_EQ(of(33, 0, 1, 32), (Sizes{17, 16}));
  EXPECT_EQ(of(34, 0, 1, 32), (Sizes{32, 2})) << "as ever";
  EXPECT_EQ(of(65, 0, 2, 32), (Sizes{16, 16})) << "beside a rank with a row more";
  EXPECT_EQ(of(65, 1, 2, 32), (Sizes{17, 16}));
  EXPECT_EQ(of(3, 0, 1, 2), (Sizes{3}));
  EXPECT_EQ(of(7, 0, 1, 2), (Sizes{2, 3, 2}));
  EXPECT_EQ(of(13, 0, 2, 3), (Sizes{3, 3}));
  EXPECT_EQ(of(13, 1, 2, 3), (Sizes{4, 3}));
  EXPECT_EQ(of(5, 0, 3, 8), (Sizes{1})) << "all that this rank has";
  EXPECT_EQ(of(2, 0, 3, 8), (Sizes{0}));
  EXPECT_EQ(of(3, 0, 2, 1), (Sizes{1, 0})) << "single rows were asked for";
}

// Whatever the numbers: every row once, as many batches on each rank, and none of one row where more are
// asked for and to be had.
TEST(BatchCut, NoBatchHasOneRow) {
  std::uint64_t looked_at = 0;
  for (std::uint64_t n = 0; n <= 150; ++n) {
    for (const std::uint32_t world : {1, 2, 3, 4, 7, 16}) {
      for (const std::uint64_t q : {1, 2, 3, 4, 5, 6, 8, 31, 32, 33, 64, 1000}) {
        for (const bool drop_last : {false, true}) {
          std::set<std::uint64_t> counts;
          std::uint64_t rows = 0;
          for (std::uint32_t rank = 0; rank < world; ++rank) {
            const Share share = rank_share(n, rank, world, q, drop_last);
            counts.insert(share.n_batches);
            rows += share.rows();
            Sizes first;
            for (const std::uint64_t window_rows : {q, 2 * q, 3 * q, 40 * q}) {
              for (const bool ramp : {false, true}) {
                const Sizes sizes = batch_sizes(share, window_rows, ramp);
                ASSERT_EQ(sizes.size(), share.n_batches);
                if (first.empty()) first = sizes;
                ASSERT_EQ(sizes, first) << "whatever the windows";
              }
            }
            std::uint64_t sum = 0;
            for (std::size_t b = 0; b < first.size(); ++b) {
              ++looked_at;
              sum += first[b];
              const std::string what = std::to_string(n) + " rows, rank " + std::to_string(rank) + " of " +
                                       std::to_string(world) + ", batches of " + std::to_string(q);
              EXPECT_LE(first[b], most_batch_rows(q)) << what;
              if (b + 2 < first.size()) EXPECT_EQ(first[b], q) << what;
              if (drop_last) EXPECT_EQ(first[b], q) << what;
              if (q > 1 && share.rows() > 1) EXPECT_GE(first[b], 2U) << what;
              if (first[b] == 0) EXPECT_TRUE(share.repeat && b + 1 == first.size()) << what;
            }
            EXPECT_EQ(sum, share.rows());
            // As many batches as ever, but for small odd sizes.
            const std::uint64_t most = (n + world - 1) / world;
            if (!drop_last && (q == 1 || q > 3)) EXPECT_EQ(share.n_batches, (most + q - 1) / q);
          }
          EXPECT_EQ(counts.size(), 1U);
          if (!drop_last) EXPECT_EQ(rows, n);
        }
      }
    }
  }
  EXPECT_GT(looked_at, 100'000U);
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
  WindowSequence ramp(s, 805, true);
  EXPECT_EQ(ramp.next()->rows, 100u);
  EXPECT_EQ(ramp.next()->rows, 200u);
  EXPECT_EQ(ramp.next()->rows, 400u);
  EXPECT_EQ(ramp.next()->rows, 600u);
  EXPECT_EQ(ramp.next()->rows, 800u);
  WindowSequence flat(s, 805, false);
  EXPECT_EQ(flat.next()->rows, 770u);
}

TEST(WindowSequence, NoWindowIsSmallBecauseItIsLast) {
  for (const std::uint64_t rows : {1ull, 799ull, 800ull, 801ull, 4321ull, 10000ull}) {
    const Share s = rank_share(rows, 0, 1, 10, false);
    WindowSequence sequence(s, 805, false);
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
  in.contents.x.n_cols = 62710;
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

TEST(SizeWindow, BlocksGrowSoThatOffsetsCostLess) {
  SizingInput in = tahoe();
  const auto natural = size_window(in)->block_rows;
  in.reread_rows = static_cast<double>(natural) - 1;
  EXPECT_EQ(size_window(in)->block_rows, natural);
  in.reread_rows = 2 * static_cast<double>(natural);
  EXPECT_EQ(size_window(in)->block_rows, 2 * natural);
  in.reread_rows = 1e6;
  EXPECT_EQ(size_window(in)->block_rows, 4 * natural) << "more would mix too little";
  in.block_rows = 7;
  EXPECT_EQ(size_window(in)->block_rows, 7u);
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

TEST(SizeWindow, ABatchBeyondTheRowsIsAllOfThem) {
  SizingInput in = tahoe();
  in.n_rows = 1000;
  in.batch_size = 1000;
  in.memory = 64'000'000;
  const auto all = size_window(in);
  ASSERT_TRUE(all.ok());
  in.batch_size = 100'000'000;
  const auto more = size_window(in);
  ASSERT_TRUE(more.ok()) << more.status().to_string();
  EXPECT_EQ(more->table_rows, 1000U);
  EXPECT_EQ(more->window_bytes, all->window_bytes);
  EXPECT_EQ(batch_rows(in), 1000U);
  EXPECT_EQ(batch_bytes(in, 1000).worst, [&] {
    SizingInput asked = in;
    asked.batch_size = 1000;
    return batch_bytes(asked, 1000).worst;
  }());
  in.share_rows = 250;
  EXPECT_EQ(batch_rows(in), 250U) << "of four ranks";
  in.batch_size = 3;
  EXPECT_EQ(batch_rows(in), 4U);
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
      WindowSequence windows(share, 99'136, false);
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
  WindowSequence windows(share, 110'592, true);
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

// Sorted by address, listed fields leave no room for one that is not listed: no gap is as wide as the
// alignment of what comes behind it.
template <class Record>
void expect_every_field_listed() {
  struct Place {
    std::string name;
    std::uintptr_t bytes, alignment;
  };
  const Record record{};
  std::map<std::uintptr_t, Place> places;
  each_field(record, [&](const char* name, const auto& value, const char*) {
    using Field = std::remove_cvref_t<decltype(value)>;
    places[reinterpret_cast<std::uintptr_t>(&value)] = {name, sizeof(Field), alignof(Field)};
  });
  std::uintptr_t end = reinterpret_cast<std::uintptr_t>(&record);
  places[end + sizeof(Record)] = {"the end", 0, alignof(Record)};
  for (const auto& [address, place] : places) {
    EXPECT_LT(address - end, place.alignment) << "before " << place.name;
    end = address + place.bytes;
  }
}

TEST(Plan, ListsEveryField) {
  expect_every_field_listed<Plan>();
  expect_every_field_listed<Mixing>();
}

}  // namespace
}  // namespace penstock::plan
