#include "plan/lineage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/permutation.h"
#include "plan/tape.h"

namespace penstock::plan {
namespace {

using ::testing::HasSubstr;
using Rows = std::vector<std::uint64_t>;

std::shared_ptr<MemoryBudget> ample() { return MemoryBudget::create(100'000'000); }

// The batches of one rank, as tape rows; repeated rows left out. The plain way: every row of the line, in
// order.
std::vector<Rows> batches_of(const EpochRule& rule, const Rows& line, std::uint32_t rank, std::uint32_t world,
                             bool ramp) {
  const Share share = rank_share(line.size(), rank, world, rule.batch_size, rule.drop_last);
  WindowSequence windows(share, rule.window_rows, ramp);
  std::vector<Rows> out;
  while (const auto window = windows.next()) {
    const KeyedPermutation places(window->rows, window_key(rule.seed, rule.epoch, window->first));
    Rows rows(window->rows);
    for (std::uint64_t i = 0; i < window->rows; ++i)
      rows[rule.shuffle ? places(i) : i] = line[window->first + i];
    if (window->repeat) rows.clear();
    for (std::uint64_t b = 0; b < window->n_batches; ++b) {
      const auto first = std::min<std::size_t>(rows.size(), window->before(b));
      const auto last = std::min<std::size_t>(rows.size(), window->before(b + 1));
      out.emplace_back(rows.begin() + static_cast<std::ptrdiff_t>(first),
                       rows.begin() + static_cast<std::ptrdiff_t>(last));
    }
  }
  EXPECT_EQ(out.size(), share.n_batches);
  if (rule.batch_size > 1 && share.rows() > 1)
    for (const Rows& batch : out) EXPECT_NE(batch.size(), 1U) << "a batch of one row";
  return out;
}

// What a stage leaves of a line.
Rows left_of(const EpochRule& rule, const Rows& line, const Stage& stage, bool ramp, Rows* delivered) {
  Rows gone;
  for (std::uint32_t rank = 0; rank < stage.world_size; ++rank) {
    const auto batches = batches_of(rule, line, rank, stage.world_size, ramp);
    for (std::uint64_t b = 0; b < stage.batches_done; ++b)
      gone.insert(gone.end(), batches[b].begin(), batches[b].end());
  }
  std::sort(gone.begin(), gone.end());
  EXPECT_EQ(std::adjacent_find(gone.begin(), gone.end()), gone.end()) << "a row came twice";
  Rows left;
  std::set_difference(line.begin(), line.end(), gone.begin(), gone.end(), std::back_inserter(left));
  delivered->insert(delivered->end(), gone.begin(), gone.end());
  return left;
}

Rows whole(std::uint64_t n) {
  Rows rows(n);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

Rows expand(const TapeRuns& runs) {
  Rows rows;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (i > 0)
      EXPECT_NE(runs[i - 1].tape + (runs[i].line - runs[i - 1].line), runs[i].tape) << "runs are joined";
    for (std::uint64_t row = runs[i].line; row < runs.end(i); ++row) {
      rows.push_back(runs[i].tape + (row - runs[i].line));
      EXPECT_EQ(runs.tape_row(row), rows.back());
    }
  }
  EXPECT_EQ(rows.size(), runs.last() - runs.first());
  return rows;
}

// The new ranks' shares against the plain way. Returns the batches of a rank, equal on all.
std::uint64_t expect_shares(const EpochRule& rule, const Lineage& lineage, const Rows& line,
                            Rows* delivered) {
  const std::uint32_t world = lineage.back().world_size;
  EXPECT_EQ(rows_to_share(rule, lineage), line.size());
  std::uint64_t batches = 0;
  for (std::uint32_t rank = 0; rank < world; ++rank) {
    const auto budget = ample();
    const auto part = rest_of_epoch(rule, lineage, rank, *budget);
    EXPECT_TRUE(part.ok()) << part.status().to_string();
    if (!part.ok()) return 0;
    if (rank > 0) EXPECT_EQ(part->share.n_batches, batches);
    batches = part->share.n_batches;
    if (!part->line) {
      EXPECT_EQ(lineage.size(), 1u);
      continue;
    }
    const Share& share = part->share;
    for (std::uint64_t row = share.first; row < share.last; ++row) {
      EXPECT_EQ(part->line->tape_row(row), line[row]);
      delivered->push_back(line[row]);
    }
    if (share.repeat && !line.empty())
      EXPECT_EQ(part->line->tape_row(share.repeat_row), line[share.repeat_row]);
    expand(*part->line);
  }
  return batches;
}

TEST(Lineage, WhatIsLeftIsSharedOutExactlyOnce) {
  for (const std::uint64_t n : {1, 7, 64, 251}) {
    for (const std::uint64_t q : {1, 2, 3, 4, 9}) {
      for (std::uint32_t before = 1; before <= 17; ++before) {
        EpochRule rule{.n_rows = n, .batch_size = q, .window_rows = 3 * q, .seed = 5, .epoch = n % 2};
        const std::uint64_t batches = rank_share(n, 0, before, q, false).n_batches;
        for (std::uint64_t done = 1; done < batches; done += 1 + done / 3) {
          const Stage first{before, done};
          Rows gone;
          const Rows line = left_of(rule, whole(n), first, rule.epoch == 0, &gone);
          for (const std::uint32_t after : {1, 2, 3, 5, 8, 13, 17}) {
            if (after == before) continue;
            const Lineage lineage = continue_lineage({first}, after);
            bool complete = true;
            ASSERT_TRUE(check_lineage(rule, lineage, &complete).ok());
            EXPECT_FALSE(complete);
            Rows all = gone;
            expect_shares(rule, lineage, line, &all);
            std::sort(all.begin(), all.end());
            ASSERT_EQ(all, whole(n)) << n << " rows, " << q << " a batch, " << before << " ranks, " << done
                                     << " batches, then " << after;
          }
        }
      }
    }
  }
}

TEST(Lineage, ManyStages) {
  const std::vector<std::vector<std::uint32_t>> worlds = {{8, 4, 6}, {1, 2, 1, 2},       {3, 17, 2, 5},
                                                          {17, 1},   {2, 3, 4, 5, 6, 7}, {16, 8, 16, 8, 16}};
  for (const auto& stages : worlds) {
    for (const bool shuffle : {true, false}) {
      for (const bool drop_last : {true, false}) {
        for (const std::uint64_t n : {400, 1003}) {
          for (const std::uint64_t window : {4, 20, 5000}) {
            EpochRule rule{n, 4, window, drop_last, shuffle, 11, 3};
            Rows line = whole(n), gone;
            Lineage lineage;
            for (std::size_t i = 0; i < stages.size(); ++i) {
              lineage = continue_lineage(lineage, stages[i]);
              const std::uint64_t batches =
                  rank_share(line.size(), 0, stages[i], rule.batch_size, drop_last).n_batches;
              Rows all = gone;
              EXPECT_EQ(expect_shares(rule, lineage, line, &all), batches);
              if (!drop_last && i > 0) {
                std::sort(all.begin(), all.end());
                EXPECT_EQ(all, whole(n));
              }
              if (batches < 2) break;
              lineage.back().batches_done =
                  std::max<std::uint64_t>(1, batches * (i + 1) / (2 * stages.size()));
              line = left_of(rule, line, lineage.back(), i > 0, &gone);
              Rows back;
              const auto budget = ample();
              const auto runs = collect_rows(rule, continue_lineage(lineage, 99), 0, line.size(), *budget);
              ASSERT_TRUE(runs.ok());
              EXPECT_EQ(expand(*runs), line);
            }
          }
        }
      }
    }
  }
}

TEST(Lineage, PartsOfALineAreThePartsOfTheWhole) {
  const EpochRule rule{500, 4, 40, false, true, 1, 0};
  const Lineage lineage = {{3, 17}, {4, 9}, {2, 0}};
  const auto budget = ample();
  const std::uint64_t n = rows_to_share(rule, lineage);
  const Rows all = expand(*collect_rows(rule, lineage, 0, n, *budget));
  for (std::uint64_t first = 0; first <= n; first += 13) {
    for (std::uint64_t last = first; last <= n; last += 17) {
      const auto part = collect_rows(rule, lineage, first, last, *budget);
      ASSERT_TRUE(part.ok());
      EXPECT_EQ(part->first(), first);
      EXPECT_EQ(expand(*part), Rows(all.begin() + static_cast<std::ptrdiff_t>(first),
                                    all.begin() + static_cast<std::ptrdiff_t>(last)));
    }
  }
}

TEST(Lineage, ContinuesWithTheSameRanksOrAddsAStage) {
  EXPECT_EQ(continue_lineage({}, 3), (Lineage{{3, 0}}));
  EXPECT_EQ(continue_lineage({{3, 5}}, 3), (Lineage{{3, 5}}));
  EXPECT_EQ(continue_lineage({{3, 5}}, 4), (Lineage{{3, 5}, {4, 0}}));
  // A stage without a batch is none.
  EXPECT_EQ(continue_lineage({{3, 5}, {4, 0}}, 6), (Lineage{{3, 5}, {6, 0}}));
  EXPECT_EQ(continue_lineage({{3, 5}, {4, 0}}, 3), (Lineage{{3, 5}}));
  EXPECT_EQ(continue_lineage({{3, 0}}, 4), (Lineage{{4, 0}}));
}

TEST(Lineage, ImpossibleOnesAreRefused) {
  const EpochRule rule{.n_rows = 100, .batch_size = 10, .window_rows = 30};
  bool complete = false;
  EXPECT_TRUE(check_lineage(rule, Lineage{{1, 9}}, &complete).ok());
  EXPECT_FALSE(complete);
  EXPECT_TRUE(check_lineage(rule, Lineage{{1, 10}}, &complete).ok());
  EXPECT_TRUE(complete);
  EXPECT_TRUE(check_lineage(rule, Lineage{}, &complete).ok());
  EXPECT_FALSE(complete);
  for (const Lineage& bad :
       {Lineage{{0, 1}}, Lineage{{1, 11}}, Lineage{{1, 10}, {2, 1}}, Lineage{{2, 3}, {1, 9}},
        Lineage{{1, UINT64_MAX}}, Lineage{{4, 1}, {1, UINT64_MAX / 10}}}) {
    const Status status = check_lineage(rule, bad, &complete);
    EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  }
  EXPECT_THAT(check_lineage(rule, Lineage{{2, 3}, {1, 9}}, &complete).message(), HasSubstr("40 rows"));
}

// What ranks had done when the last batch was whatever was left, at least one row.
std::vector<Rows> old_batches(const EpochRule& rule, std::uint32_t rank, std::uint32_t world) {
  const Rows line = whole(rule.n_rows);
  Share share = rank_share(rule.n_rows, rank, world, 1, false);
  const std::uint64_t rows = share.rows(), q = rule.batch_size;
  const std::uint64_t batches = (rows + q - 1) / q;
  std::vector<Rows> out;
  // Windows were cut as now, of that many batches.
  std::uint64_t row = share.first, index = 0;
  const std::uint64_t per_window = rule.window_rows / q, eighths[] = {1, 2, 4, 6};
  for (std::uint64_t left = batches; left > 0; ++index) {
    const std::uint64_t windows = (left + per_window - 1) / per_window;
    std::uint64_t n = (left + windows - 1) / windows;
    if (rule.epoch == 0 && index < 4) n = std::clamp<std::uint64_t>(per_window * eighths[index] / 8, 1, n);
    left -= n;
    const std::uint64_t last = std::min(share.last, row + n * q);
    const KeyedPermutation places(last - row, window_key(rule.seed, rule.epoch, row));
    Rows in_order(last - row);
    for (std::uint64_t i = 0; i < in_order.size(); ++i) in_order[places(i)] = line[row + i];
    for (std::uint64_t first = 0; first < in_order.size(); first += q) {
      const auto end = std::min<std::uint64_t>(in_order.size(), first + q);
      out.emplace_back(in_order.begin() + static_cast<std::ptrdiff_t>(first),
                       in_order.begin() + static_cast<std::ptrdiff_t>(end));
    }
    row = last;
  }
  return out;
}

// A checkpoint of such a version goes on exactly where the same batches were delivered, and is refused where
// not.
TEST(Lineage, OldCheckpointsGoOnOrAreRefused) {
  std::uint64_t accepted = 0, refused = 0;
  for (const std::uint64_t n : {33, 40, 64, 65, 66, 67, 97, 129, 130, 131}) {
    for (const std::uint32_t world : {1, 2, 3}) {
      for (const std::uint64_t q : {2, 3, 8, 16}) {
        for (const std::uint64_t windows : {1, 3, 40}) {
          for (const std::uint64_t epoch : {0, 1}) {
            const EpochRule rule{n, q, windows * q, false, true, 7, epoch};
            const std::uint64_t batches = ((n + world - 1) / world + q - 1) / q;
            for (std::uint64_t done = 1; done < batches; ++done) {
              const Status status = check_old_batches(rule, Lineage{{world, done}});
              if (!status.ok()) {
                EXPECT_EQ(status.code(), StatusCode::invalid_argument);
                EXPECT_THAT(status.message(), HasSubstr("earlier version"));
                ++refused;
                continue;
              }
              ++accepted;
              for (std::uint32_t rank = 0; rank < world; ++rank) {
                const auto before = old_batches(rule, rank, world);
                const auto now = batches_of(rule, whole(n), rank, world, epoch == 0);
                ASSERT_LE(done, now.size());
                for (std::uint64_t b = 0; b < std::min<std::uint64_t>(done, before.size()); ++b)
                  ASSERT_EQ(now[b], before[b])
                      << n << " rows, " << world << " ranks, " << q << " a batch, " << b;
              }
            }
          }
        }
      }
    }
  }
  EXPECT_GT(accepted, 1000U);
  EXPECT_GT(refused, 1000U) << "most numbers above are such";
  EXPECT_TRUE(check_old_batches({.n_rows = 33, .batch_size = 32, .drop_last = true}, Lineage{{1, 1}}).ok());
  EXPECT_TRUE(check_old_batches({.n_rows = 33, .batch_size = 1, .window_rows = 8}, Lineage{{2, 4}}).ok());
}

TEST(Lineage, MemoryIsReservedBeforeItIsTaken) {
  const EpochRule rule{.n_rows = 1'000'000, .batch_size = 10, .window_rows = 500'000, .epoch = 1};
  const Lineage lineage = {{1, 25'000}, {2, 0}};
  const auto small = MemoryBudget::create(1'000'000);
  const auto refused = collect_rows(rule, lineage, 0, rows_to_share(rule, lineage), *small);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::budget);
  EXPECT_EQ(small->usage().used, 0u);
  const auto budget = ample();
  {
    const auto runs = collect_rows(rule, lineage, 0, rows_to_share(rule, lineage), *budget);
    ASSERT_TRUE(runs.ok());
    EXPECT_GE(budget->usage().used, runs->size() * sizeof(TapeRuns::Run));
  }
  EXPECT_EQ(budget->usage().used, 0u);
}

TEST(WindowSequence, SkipsToTheWindowThatHoldsABatch) {
  for (const std::uint64_t rows : {1, 95, 1000}) {
    const Share share = rank_share(rows, 1, 3, 5, false);
    for (std::uint64_t done = 0; done < share.n_batches; ++done) {
      WindowSequence plain(share, 40, true), skipped(share, 40, true);
      const std::uint64_t inside = skipped.skip(done);
      auto expected = plain.next();
      while (expected->first_batch + expected->n_batches <= done) expected = plain.next();
      EXPECT_EQ(inside, done - expected->first_batch);
      for (auto found = skipped.next(); found; found = skipped.next(), expected = plain.next()) {
        EXPECT_EQ(found->first, expected->first);
        EXPECT_EQ(found->rows, expected->rows);
        EXPECT_EQ(found->first_batch, expected->first_batch);
      }
      EXPECT_FALSE(expected);
    }
    WindowSequence over(share, 40, true);
    EXPECT_EQ(over.skip(share.n_batches), 0u);
    EXPECT_FALSE(over.next());
  }
}

}  // namespace
}  // namespace penstock::plan
