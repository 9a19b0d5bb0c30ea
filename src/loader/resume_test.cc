// Resuming: the batches that were to come, bit for bit; other numbers of ranks; what differs is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "loader/testing/batch_rows.h"
#include "loader/testing/fake_dataset.h"
#include "penstock/loader.h"

namespace penstock {
namespace {

using testing::FakeDataset;
using testing::FakeSpec;
using ::testing::HasSubstr;
using testing::indices;
using testing::read_epoch;
using testing::Rows;
using testing::rows_of;

constexpr std::uint64_t kRows = 3701;

std::shared_ptr<FakeDataset> made_up() {
  FakeSpec spec;
  spec.files = {{1200, 20, 7}, {1, 5, 3}, {0, 5, 3}, {2500, 40, 13}};
  spec.long_values_every = 17;
  return std::make_shared<FakeDataset>(std::move(spec));
}
std::shared_ptr<const Dataset> dataset(const std::shared_ptr<FakeDataset>& impl) {
  return std::make_shared<Dataset>(impl);
}

LoaderOptions small() {
  LoaderOptions o;
  o.batch_size = 25;
  o.memory = 4'000'000;
  o.window_rows = 300;
  o.seed = 7;
  o.obs = {"label"};
  o.threads = 2;
  o.io_threads = 4;
  return o;
}

std::unique_ptr<Loader> create(const std::shared_ptr<const Dataset>& ds, LoaderOptions options) {
  auto loader = Loader::create(ds, std::move(options));
  EXPECT_TRUE(loader.ok()) << loader.status().to_string();
  return loader.ok() ? *std::move(loader) : nullptr;
}

std::vector<Rows> take(Loader& loader, std::uint64_t n) {
  std::vector<Rows> out;
  for (std::uint64_t i = 0; i < n; ++i) {
    auto batch = loader.next();
    EXPECT_TRUE(batch.ok() && *batch) << batch.status().to_string();
    if (!batch.ok() || !*batch) break;
    out.push_back(rows_of(**batch));
  }
  return out;
}

// Through text, as checkpoints go.
LoaderState saved(const Loader& loader, std::optional<std::uint64_t> done = std::nullopt) {
  const auto state = loader.state(done);
  EXPECT_TRUE(state.ok()) << state.status().to_string();
  const auto back = LoaderState::from_json(state->to_json());
  EXPECT_TRUE(back.ok()) << back.status().to_string();
  return *back;
}

template <class T>
std::vector<T> tail(const std::vector<T>& all, std::uint64_t from) {
  return {all.begin() + static_cast<std::ptrdiff_t>(from), all.end()};
}

// The last two batches share what is left, also where a bin, or a window, would end between them.
TEST(Resume, TheLastBatchesShareABin) {
  for (const auto& [n, q] : {std::pair<std::uint64_t, std::uint64_t>{513, 64},
                             {1025, 64},
                             {1026, 64},
                             {1025, 512},
                             {1201, 600},
                             {1801, 600},
                             {515, 2},
                             {1027, 3}}) {
    FakeSpec spec;
    spec.files = {{n, 6, 7}};
    const auto data = std::make_shared<FakeDataset>(std::move(spec));
    const auto ds = dataset(data);
    for (const std::uint64_t window_rows : {q, 3 * q, 10'000 * q}) {
      LoaderOptions o = small();
      o.batch_size = q;
      o.window_rows = window_rows;
      const auto whole = create(ds, o);
      std::vector<Rows> expected;
      for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
        ASSERT_TRUE(whole->start_epoch(epoch).ok());
        expected = read_epoch(*whole);
        ASSERT_EQ(expected.size(), whole->n_batches());
        std::vector<bool> seen(n);
        for (const Rows& batch : expected) {
          EXPECT_GE(batch.size(), 2U);
          EXPECT_LE(batch.size(), std::max<std::uint64_t>(q, 4));
          for (const auto& row : batch) {
            ASSERT_GE(row.index, 0);
            EXPECT_FALSE(seen[static_cast<std::size_t>(row.index)]);
            seen[static_cast<std::size_t>(row.index)] = true;
          }
        }
        EXPECT_EQ(std::count(seen.begin(), seen.end(), true), static_cast<std::ptrdiff_t>(n));
      }
      for (std::uint64_t left = 1; left <= 3 && left < expected.size(); ++left) {
        const std::uint64_t done = expected.size() - left;
        const auto before = create(ds, o);
        ASSERT_TRUE(before->start_epoch(2).ok());
        take(*before, done);
        LoaderOptions again = o;
        again.resume = saved(*before);
        const auto after = create(ds, again);
        ASSERT_TRUE(after->start_epoch().ok());
        EXPECT_EQ(read_epoch(*after), tail(expected, done)) << n << " rows, " << q << " a batch, " << left;
        // And on into the next epoch.
        ASSERT_TRUE(after->start_epoch().ok());
        EXPECT_EQ(read_epoch(*after).size(), expected.size());
      }
    }
  }
}

TEST(Resume, YieldsTheBatchesThatWereToCome) {
  const auto data = made_up();
  const auto ds = dataset(data);
  for (const bool shuffle : {true, false}) {
    for (const std::uint64_t epoch : {0, 2}) {
      LoaderOptions o = small();
      o.shuffle = shuffle;
      const auto whole = create(ds, o);
      ASSERT_TRUE(whole->start_epoch(epoch).ok());
      const auto expected = read_epoch(*whole);
      ASSERT_TRUE(whole->start_epoch().ok());
      const auto next_epoch = read_epoch(*whole);
      for (std::uint64_t done = 0; done < expected.size(); done += 1 + done / 12) {
        const auto before = create(ds, o);
        ASSERT_TRUE(before->start_epoch(epoch).ok());
        EXPECT_EQ(take(*before, done),
                  std::vector<Rows>(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(done)));
        LoaderOptions again = o;
        again.resume = saved(*before);
        EXPECT_EQ(again.resume->epoch, epoch);
        // Memory and threads are not part of the order.
        again.window_rows = 0;
        again.memory = 6'000'000;
        again.threads = 1 + static_cast<std::uint32_t>(done % 4);
        const auto after = create(ds, again);
        EXPECT_EQ(after->next_epoch(), epoch);
        EXPECT_EQ(saved(*after).to_json(), again.resume->to_json()) << "nothing has been read yet";
        ASSERT_TRUE(after->start_epoch().ok());
        EXPECT_EQ(saved(*after).to_json(), again.resume->to_json());
        const auto first = after->peek();
        ASSERT_TRUE(first.ok() && *first);
        EXPECT_EQ(rows_of(**first), expected[done]);
        EXPECT_EQ(after->epoch_batches(), expected.size());
        EXPECT_EQ(read_epoch(*after), tail(expected, done)) << "behind " << done << " batches";
        EXPECT_EQ(saved(*after).epoch, epoch + 1);
        EXPECT_TRUE(saved(*after).lineage.empty());
        ASSERT_TRUE(after->start_epoch().ok());
        EXPECT_EQ(read_epoch(*after), next_epoch) << "the next epoch is a whole one";
        const auto usage = after->stats().memory;
        EXPECT_LE(usage.peak, usage.limit);
      }
    }
  }
}

// Where windows come from data and memory, and blocks from storage.
TEST(Resume, PlannedWindowsAndBlocksAreTheCheckpoints) {
  const auto ds = dataset(made_up());
  LoaderOptions o = small();
  o.window_rows = 0;
  o.memory = 1'300'000;
  const auto whole = create(ds, o);
  ASSERT_TRUE(whole->start_epoch(1).ok());
  const auto expected = read_epoch(*whole);
  ASSERT_LT(whole->plan().window_rows, kRows);
  const auto before = create(ds, o);
  ASSERT_TRUE(before->start_epoch(1).ok());
  take(*before, 50);
  o.resume = saved(*before);
  o.memory = 50'000'000;
  const auto after = create(ds, o);
  EXPECT_EQ(after->plan().window_rows, whole->plan().window_rows);
  EXPECT_EQ(after->plan().block_rows, whole->plan().block_rows);
  ASSERT_TRUE(after->start_epoch().ok());
  EXPECT_EQ(read_epoch(*after), tail(expected, 50));
  // Too little for those windows: an error with the way out.
  o.memory = 900'000;
  const auto refused = Loader::create(ds, o);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::budget);
  EXPECT_THAT(refused.status().message(), HasSubstr("the checkpoint has window_rows="));
  EXPECT_THAT(refused.status().message(), HasSubstr("memory >= "));
}

TEST(Resume, ReadsAtMostOneWindowAgain) {
  const auto ds = dataset(made_up());
  LoaderOptions o = small();
  const auto whole = create(ds, o);
  for (const std::uint64_t epoch : {0, 1}) {
    const EpochCost all = *whole->epoch_cost(epoch);
    for (std::uint64_t done = 0; done < whole->n_batches(); done += 7) {
      const auto before = create(ds, o);
      ASSERT_TRUE(before->start_epoch(epoch).ok());
      take(*before, done);
      LoaderOptions again = o;
      again.resume = saved(*before);
      const auto after = create(ds, again);
      ASSERT_TRUE(after->start_epoch().ok());
      const EpochCost rest = *after->epoch_cost(epoch);
      const auto batches = read_epoch(*after);
      const LoaderStats stats = after->stats();
      EXPECT_EQ(stats.epoch_bytes_read, rest.bytes_to_read) << "as predicted";
      EXPECT_EQ(stats.epoch_reads, rest.requests);
      EXPECT_EQ(stats.batches, batches.size());
      // Everything behind the last batch, and the window that it lies in: 12 batches of about 300 bytes a
      // row.
      const double row = static_cast<double>(all.bytes_to_read) / kRows;
      const double left = static_cast<double>(kRows - done * o.batch_size);
      EXPECT_LE(static_cast<double>(rest.bytes_to_read), (left + 300 + 64) * row * 1.2) << done;
      if (done == 0) EXPECT_EQ(rest.bytes_to_read, all.bytes_to_read);
    }
  }
}

// Trains `stages` = (ranks, batches) one after the other, each from the checkpoint of the one before, then to
// the end with `last` ranks. Every row comes once.
void expect_once(const std::shared_ptr<const Dataset>& ds, const LoaderOptions& options,
                 const std::vector<Stage>& stages, std::uint32_t last, std::uint64_t n) {
  std::multiset<std::int64_t> seen;
  std::optional<LoaderState> state;
  std::uint64_t batches_before = 0;
  const auto run = [&](std::uint32_t world, std::optional<std::uint64_t> batches) {
    std::set<std::string> states;
    std::set<std::size_t> counts;
    for (std::uint32_t rank = 0; rank < world; ++rank) {
      LoaderOptions o = options;
      o.rank = rank;
      o.world_size = world;
      o.resume = state;
      const auto loader = create(ds, o);
      ASSERT_TRUE(loader->start_epoch(state ? state->epoch : 1).ok());
      const auto found = batches ? take(*loader, *batches) : read_epoch(*loader);
      for (const std::int64_t i : indices(found)) {
        if (i >= 0) seen.insert(i);
      }
      counts.insert(found.size());
      if (state && !batches) EXPECT_EQ(loader->epoch_batches(), batches_before + found.size());
      EXPECT_LE(loader->stats().memory.peak, loader->stats().memory.limit);
      states.insert(saved(*loader).to_json());
    }
    EXPECT_EQ(counts.size(), 1u) << world << " ranks";
    ASSERT_EQ(states.size(), 1u) << "the state is the same on every rank";
    state = *LoaderState::from_json(*states.begin());
    batches_before += *counts.begin();
  };
  for (const Stage& stage : stages) {
    run(stage.world_size, stage.batches_done);
    EXPECT_EQ(state->lineage.size(), static_cast<std::size_t>(&stage - stages.data()) + 1);
  }
  run(last, std::nullopt);
  EXPECT_EQ(state->epoch, 2u);
  ASSERT_EQ(seen.size(), n);
  std::int64_t previous = -1;
  for (const std::int64_t i : seen) {
    EXPECT_NE(i, previous) << "twice";
    previous = i;
  }
  // The next epoch is a plain one.
  LoaderOptions o = options;
  o.resume = state;
  const auto resumed = create(ds, o);
  o.resume.reset();
  const auto plain = create(ds, o);
  ASSERT_TRUE(resumed->start_epoch().ok());
  ASSERT_TRUE(plain->start_epoch(2).ok());
  EXPECT_EQ(read_epoch(*resumed), read_epoch(*plain));
}

TEST(Resume, OtherNumbersOfRanksStillReadEveryRowOnce) {
  const auto ds = dataset(made_up());
  expect_once(ds, small(), {{8, 7}, {4, 9}}, 6, kRows);
  expect_once(ds, small(), {{1, 50}}, 17, kRows);
  expect_once(ds, small(), {{17, 3}}, 1, kRows);
  expect_once(ds, small(), {{2, 20}, {3, 10}, {2, 10}, {5, 2}}, 2, kRows);
  LoaderOptions ordered = small();
  ordered.shuffle = false;
  expect_once(ds, ordered, {{8, 7}, {4, 9}}, 6, kRows);
  LoaderOptions exact = small();
  exact.block_rows = 100;
  exact.window_rows = 0;
  expect_once(ds, exact, {{3, 20}, {2, 11}}, 3, kRows);
}

TEST(Resume, SelectionsAndOtherNumbersOfRanks) {
  const auto data = made_up();
  data->select([](std::uint64_t r) { return r % 3 == 1 || (r > 2000 && r < 2600); });
  expect_once(dataset(data), small(), {{4, 5}, {3, 6}}, 5, data->n_obs());
}

TEST(Resume, ContentsOfRowsThatWereLeftOver) {
  const auto data = made_up();
  const auto ds = dataset(data);
  LoaderOptions o = small();
  o.world_size = 2;
  const auto before = create(ds, o);
  ASSERT_TRUE(before->start_epoch().ok());
  take(*before, 21);
  o.resume = saved(*before);
  o.world_size = 1;
  const auto after = create(ds, o);
  ASSERT_TRUE(after->start_epoch().ok());
  const EpochCost cost = *after->epoch_cost(0);
  const auto batches = read_epoch(*after);
  EXPECT_EQ(after->stats().epoch_bytes_read, cost.bytes_to_read);
  EXPECT_EQ(indices(batches).size(), kRows - 2 * 21 * 25);
  for (const Rows& batch : batches) {
    for (const auto& row : batch) {
      const auto r = static_cast<std::uint64_t>(row.index);
      const auto truth = testing::fake_row(data->spec, data->means[r], r);
      ASSERT_EQ(row.entries.size(), truth.ids.size());
      for (std::size_t e = 0; e < truth.ids.size(); ++e) {
        ASSERT_EQ(row.entries[e].first, truth.ids[e]);
        ASSERT_EQ(row.entries[e].second, truth.values[e]);
      }
      EXPECT_EQ(row.label, row.index % 5);
    }
  }
}

// drop_last leaves rows out at each change of ranks anew, never delivers one twice.
TEST(Resume, DropLast) {
  const auto ds = dataset(made_up());
  LoaderOptions o = small();
  o.drop_last = true;
  std::multiset<std::int64_t> seen;
  std::optional<LoaderState> state;
  for (const auto& [world, batches] : std::vector<std::pair<std::uint32_t, std::uint64_t>>{{7, 11}, {3, 0}}) {
    LoaderState next;
    for (std::uint32_t rank = 0; rank < world; ++rank) {
      LoaderOptions mine = o;
      mine.rank = rank;
      mine.world_size = world;
      mine.resume = state;
      const auto loader = create(ds, mine);
      ASSERT_TRUE(loader->start_epoch().ok());
      const auto found = batches > 0 ? take(*loader, batches) : read_epoch(*loader);
      for (const Rows& batch : found) EXPECT_EQ(batch.size(), 25u);
      seen.merge(indices(found));
      next = saved(*loader);
    }
    state = next;
  }
  EXPECT_EQ(std::set<std::int64_t>(seen.begin(), seen.end()).size(), seen.size());
  EXPECT_GT(seen.size(), kRows - 3 * 25);
  // Nothing but what is left out is left: an epoch without a batch, then the next one.
  o.world_size = 7;
  const auto seven = create(ds, o);
  ASSERT_TRUE(seven->start_epoch().ok());
  take(*seven, seven->n_batches() - 1);
  o.resume = saved(*seven);
  o.world_size = 16;
  const auto sixteen = create(ds, o);
  ASSERT_TRUE(sixteen->start_epoch().ok());
  EXPECT_TRUE(read_epoch(*sixteen).empty());
  EXPECT_EQ(saved(*sixteen).epoch, 1u);
  ASSERT_TRUE(sixteen->start_epoch().ok());
  EXPECT_EQ(read_epoch(*sixteen).size(), sixteen->n_batches());
}

TEST(Resume, CountsWhatAWrapperSaysIsDone) {
  const auto ds = dataset(made_up());
  const auto loader = create(ds, small());
  EXPECT_EQ(saved(*loader).epoch, 0u);
  EXPECT_TRUE(saved(*loader).lineage.empty());
  EXPECT_FALSE(loader->state(1).ok());
  ASSERT_TRUE(loader->start_epoch().ok());
  const auto batches = take(*loader, 30);
  EXPECT_EQ(saved(*loader, 20).lineage, (Lineage{{1, 20}}));
  EXPECT_TRUE(saved(*loader, 0).lineage.empty());
  EXPECT_THAT(loader->state(31).status().message(), HasSubstr("only 30 batches"));
  LoaderOptions o = small();
  o.resume = saved(*loader, 20);
  const auto after = create(ds, o);
  ASSERT_TRUE(after->start_epoch().ok());
  EXPECT_EQ(take(*after, 10), tail(batches, 20));
  // From here on batches are counted, not those before.
  EXPECT_EQ(saved(*after, 4).lineage, (Lineage{{1, 24}}));
  EXPECT_FALSE(after->state(11).ok());
  // Also when the loader is closed, and after the epoch's end.
  const auto rest = read_epoch(*after);
  EXPECT_EQ(saved(*after, 9).lineage, (Lineage{{1, 29}}));
  after->close();
  EXPECT_EQ(saved(*after).epoch, 1u);
}

TEST(Resume, AnotherEpochIsAWholeOne) {
  const auto ds = dataset(made_up());
  const auto loader = create(ds, small());
  ASSERT_TRUE(loader->start_epoch().ok());
  const auto epoch0 = read_epoch(*loader);
  ASSERT_TRUE(loader->start_epoch().ok());
  take(*loader, 3);
  LoaderOptions o = small();
  o.resume = saved(*loader);
  const auto other = create(ds, o);
  ASSERT_TRUE(other->start_epoch(0).ok());
  EXPECT_EQ(read_epoch(*other), epoch0);
  ASSERT_TRUE(other->start_epoch(1).ok());
  EXPECT_EQ(read_epoch(*other).size(), other->n_batches())
      << "the checkpoint's epoch, but too late to resume it";
  // A resumed epoch that is given up, and one that is begun again.
  const auto again = create(ds, o);
  ASSERT_TRUE(again->start_epoch().ok());
  take(*again, 2);
  EXPECT_EQ(saved(*again).lineage, (Lineage{{1, 5}}));
  ASSERT_TRUE(again->start_epoch(1).ok());
  EXPECT_EQ(read_epoch(*again).size(), again->n_batches());
}

TEST(Resume, DifferencesAreErrorsThatNameThem) {
  const auto data = made_up();
  const auto ds = dataset(data);
  const auto loader = create(ds, small());
  ASSERT_TRUE(loader->start_epoch().ok());
  take(*loader, 3);
  const auto refused = [&](auto change) {
    LoaderOptions o = small();
    o.window_rows = 0;
    o.resume = saved(*loader);
    change(o);
    const auto other = Loader::create(ds, o);
    EXPECT_FALSE(other.ok());
    EXPECT_EQ(other.status().code(), StatusCode::invalid_argument);
    return other.status().message();
  };
  EXPECT_THAT(refused([](auto& o) { o.seed = 8; }), HasSubstr("seed: 7 in the checkpoint, 8 here"));
  EXPECT_THAT(refused([](auto& o) { o.batch_size = 50; }),
              HasSubstr("batch_size: 25 in the checkpoint, 50 here"));
  EXPECT_THAT(refused([](auto& o) { o.window_rows = 400; }),
              HasSubstr("window_rows: 300 in the checkpoint, 400 here"));
  EXPECT_THAT(refused([](auto& o) { o.block_rows = 3; }), HasSubstr("3 here"));
  EXPECT_THAT(refused([](auto& o) { o.resume->blocks[3] ^= 1; }), HasSubstr("where blocks begin and end"));
  EXPECT_THAT(refused([](auto& o) { o.resume->lineage[0].batches_done = 1000; }), HasSubstr("1,000 batches"));
  EXPECT_THAT(refused([](auto& o) { o.resume->n_obs = 5; }),
              HasSubstr("n_obs: 5 in the checkpoint, 3,701 here"));
  // A selection is part of what the rows are.
  const auto some = made_up();
  some->select([](std::uint64_t r) { return r != 5; });
  LoaderOptions o = small();
  o.resume = saved(*loader);
  const auto other = Loader::create(dataset(some), o);
  EXPECT_THAT(other.status().message(),
              HasSubstr("selected rows of fake0: 1,200 in the checkpoint, 1,199 here"));
  // One that holds everything is none.
  const auto all = made_up();
  all->select([](std::uint64_t) { return true; });
  EXPECT_TRUE(Loader::create(dataset(all), o).ok());
}

}  // namespace
}  // namespace penstock
