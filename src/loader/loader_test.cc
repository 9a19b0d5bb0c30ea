// The invariants of the loader on made-up data (testing/fake_dataset.h): exactly once, determinism, budget,
// no deadlock, errors where they belong.
#include "penstock/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "engine/starve.h"
#include "loader/testing/batch_rows.h"
#include "loader/testing/fake_dataset.h"

namespace penstock {
namespace {

using testing::FakeDataset;
using testing::FakeFileSpec;
using testing::FakeSpec;
using ::testing::HasSubstr;
using testing::indices;
using testing::read_epoch;
using testing::Row;
using testing::Rows;
using testing::rows_of;

std::shared_ptr<FakeDataset> make(FakeSpec spec) { return std::make_shared<FakeDataset>(std::move(spec)); }
std::shared_ptr<const Dataset> dataset(std::shared_ptr<FakeDataset> impl) {
  return std::make_shared<Dataset>(std::move(impl));
}

FakeSpec three_files() {
  FakeSpec spec;
  spec.files = {{1200, 20, 7}, {1, 5, 3}, {0, 5, 3}, {2500, 40, 13}};
  spec.long_values_every = 17;
  return spec;
}

std::vector<Rows> epoch(std::shared_ptr<const Dataset> ds, LoaderOptions options, std::uint64_t number = 0,
                        LoaderStats* stats = nullptr) {
  auto loader = Loader::create(std::move(ds), std::move(options));
  EXPECT_TRUE(loader.ok()) << loader.status().to_string();
  if (!loader.ok()) return {};
  EXPECT_TRUE((*loader)->start_epoch(number).ok());
  auto out = read_epoch(**loader);
  EXPECT_EQ(out.size(), (*loader)->n_batches());
  if (stats != nullptr) *stats = (*loader)->stats();
  const auto usage = (*loader)->stats().memory;
  EXPECT_LE(usage.peak, usage.limit);
  return out;
}

LoaderOptions small() {
  LoaderOptions o;
  o.batch_size = 64;
  o.memory = 4'000'000;
  o.seed = 7;
  o.obs = {"label"};
  o.threads = 2;
  o.io_threads = 4;
  return o;
}

void expect_contents(const FakeDataset& data, const std::vector<Rows>& batches) {
  for (const Rows& batch : batches) {
    for (const Row& row : batch) {
      const auto r = static_cast<std::uint64_t>(row.index);
      const auto truth = testing::fake_row(data.spec, data.means[r], r);
      ASSERT_EQ(row.entries.size(), truth.ids.size()) << "row " << r;
      for (std::size_t e = 0; e < truth.ids.size(); ++e) {
        ASSERT_EQ(row.entries[e].first, truth.ids[e]);
        ASSERT_EQ(row.entries[e].second, truth.values[e]);
      }
      EXPECT_EQ(row.label, row.index % 5);
    }
  }
}

void expect_exactly_once(const std::vector<Rows>& batches, std::uint64_t n) {
  const auto seen = indices(batches);
  ASSERT_EQ(seen.size(), n);
  std::int64_t expected = 0;
  for (const std::int64_t i : seen) ASSERT_EQ(i, expected++);
}

TEST(Loader, EveryRowOnceWithItsContents) {
  const auto data = make(three_files());
  for (const std::uint64_t batch_size : {1, 3, 64, 100, 999, 5000}) {
    LoaderOptions o = small();
    o.batch_size = batch_size;
    o.memory = 40'000'000;
    const auto batches = epoch(dataset(data), o);
    expect_exactly_once(batches, 3701);
    expect_contents(*data, batches);
    // The last two share what is left where that is one row: 51 and 50 of 101.
    for (std::size_t b = 0; b + 2 < batches.size(); ++b) EXPECT_EQ(batches[b].size(), batch_size);
    if (batch_size > 1) EXPECT_GT(batches.back().size(), 1U);
  }
}

TEST(Loader, OrderIsAFunctionOfItsInputsOnly) {
  const auto data = make(three_files());
  LoaderOptions o = small();
  const auto reference = epoch(dataset(data), o, 3);
  for (const std::uint32_t threads : {1, 2, 5, 16}) {
    for (const std::uint32_t io : {1, 8}) {
      o.threads = threads;
      o.io_threads = io;
      EXPECT_EQ(epoch(dataset(data), o, 3), reference) << threads << " threads, " << io << " readers";
    }
  }
  o = small();
  EXPECT_NE(epoch(dataset(data), o, 4), reference);
  o.seed = 8;
  EXPECT_NE(epoch(dataset(data), o, 3), reference);
}

TEST(Loader, DenseHoldsTheSameRows) {
  const auto data = make(three_files());
  LoaderOptions o = small();
  o.memory = 16'000'000;
  o.window_rows = 512;
  o.block_rows = 16;
  const auto csr = epoch(dataset(data), o);
  o.format = BatchFormat::dense;
  EXPECT_EQ(epoch(dataset(data), o), csr);
}

TEST(Loader, FileOrderWithoutShuffle) {
  const auto data = make(three_files());
  LoaderOptions o = small();
  o.shuffle = false;
  std::int64_t expected = 0;
  for (const Rows& batch : epoch(dataset(data), o)) {
    for (const Row& row : batch) ASSERT_EQ(row.index, expected++);
  }
  EXPECT_EQ(expected, 3701);
}

TEST(Loader, BudgetsFromTheSmallestToAmple) {
  const auto data = make(three_files());
  std::uint64_t accepted = 0;
  for (std::uint64_t memory = 50'000; memory < 100'000'000; memory += memory / 3) {
    LoaderOptions o = small();
    o.batch_size = 32;
    o.memory = memory;
    auto loader = Loader::create(dataset(data), o);
    if (!loader.ok()) {
      EXPECT_EQ(loader.status().code(), StatusCode::budget) << loader.status().to_string();
      EXPECT_EQ(accepted, 0u) << "more memory must not be refused: " << memory;
      continue;
    }
    ++accepted;
    loader->reset();
    expect_exactly_once(epoch(dataset(data), o), 3701);
  }
  EXPECT_GT(accepted, 5u);
}

TEST(Loader, WindowsAndBlocksAsGiven) {
  const auto data = make(three_files());
  for (const std::uint64_t window : {32, 64, 96, 1000, 100000}) {
    for (const std::uint64_t block : {1, 5, 64, 5000}) {
      LoaderOptions o = small();
      o.batch_size = 32;
      o.memory = 30'000'000;
      o.window_rows = window;
      o.block_rows = block;
      const auto batches = epoch(dataset(data), o, 1);
      expect_exactly_once(batches, 3701);
      expect_contents(*data, batches);
    }
  }
}

TEST(Loader, DeferredRowsGiveTheSameBatches) {
  const auto data = make(three_files());
  LoaderOptions o = small();
  const auto reference = epoch(dataset(data), o, 2);
  for (const std::uint64_t bytes : {1, 65536, 131072, 262144}) {
    const testing::StarvedWindows starved(bytes);
    for (const std::uint32_t threads : {1, 3}) {
      o.threads = threads;
      LoaderStats stats;
      EXPECT_EQ(epoch(dataset(data), o, 2, &stats), reference) << bytes;
      if (bytes <= 65536) EXPECT_GT(stats.rows_deferred, 0u);
    }
  }
}

TEST(Loader, ARowLongerThanAPage) {
  FakeSpec spec = three_files();
  spec.n_cols = 60000;
  spec.long_row = 1234;
  const auto data = make(spec);
  LoaderOptions o = small();
  o.memory = 60'000'000;
  const auto batches = epoch(dataset(data), o);
  expect_exactly_once(batches, 3701);
  expect_contents(*data, batches);
}

TEST(Loader, WideMatricesUse32BitIds) {
  FakeSpec spec = three_files();
  spec.n_cols = 70000;
  const auto data = make(spec);
  LoaderOptions o = small();
  o.memory = 60'000'000;
  expect_contents(*data, epoch(dataset(data), o));
}

TEST(Loader, ValuesThatAreNotCounts) {
  FakeSpec spec = three_files();
  spec.scale = 0.3F;
  const auto data = make(spec);
  LoaderOptions o = small();
  expect_contents(*data, epoch(dataset(data), o));
}

TEST(Loader, NoEntriesOneCellAndNothing) {
  for (const FakeFileSpec file : {FakeFileSpec{100, 0, 7}, FakeFileSpec{1, 10, 7}, FakeFileSpec{0, 10, 7}}) {
    FakeSpec spec;
    spec.files = {file};
    const auto data = make(spec);
    for (const bool drop_last : {false, true}) {
      LoaderOptions o = small();
      o.batch_size = 10;
      o.drop_last = drop_last;
      const auto batches = epoch(dataset(data), o);
      expect_exactly_once(batches, drop_last ? file.rows / 10 * 10 : file.rows);
    }
  }
}

TEST(Loader, SelectionsAreReadExactly) {
  const auto data = make(three_files());
  data->select([](std::uint64_t r) { return r % 3 == 1 || (r > 2000 && r < 2600); });
  LoaderOptions o = small();
  const auto batches = epoch(dataset(data), o);
  expect_contents(*data, batches);
  std::multiset<std::int64_t> expected;
  for (std::int64_t r = 0; r < 3701; ++r) {
    if (r % 3 == 1 || (r > 2000 && r < 2600)) expected.insert(r);
  }
  EXPECT_EQ(indices(batches), expected);
}

TEST(Loader, RanksAreDisjointCompleteAndEqual) {
  const auto data = make(three_files());
  for (const std::uint32_t world : {1, 2, 3, 7, 16}) {
    for (const bool drop_last : {false, true}) {
      std::multiset<std::int64_t> seen;
      std::set<std::size_t> counts;
      for (std::uint32_t rank = 0; rank < world; ++rank) {
        LoaderOptions o = small();
        o.batch_size = 25;
        o.rank = rank;
        o.world_size = world;
        o.drop_last = drop_last;
        const auto batches = epoch(dataset(data), o, 1);
        counts.insert(batches.size());
        for (const std::int64_t i : indices(batches)) {
          if (i >= 0) seen.insert(i);
        }
      }
      EXPECT_EQ(counts.size(), 1u) << world;
      const std::set<std::int64_t> unique(seen.begin(), seen.end());
      EXPECT_EQ(unique.size(), seen.size());
      if (!drop_last) EXPECT_EQ(seen.size(), 3701u);
    }
  }
}

TEST(Loader, MoreRanksThanRows) {
  FakeSpec spec;
  spec.files = {{3, 10, 7}};
  const auto data = make(spec);
  std::multiset<std::int64_t> seen;
  for (std::uint32_t rank = 0; rank < 8; ++rank) {
    LoaderOptions o = small();
    o.rank = rank;
    o.world_size = 8;
    const auto batches = epoch(dataset(data), o);
    ASSERT_EQ(batches.size(), 1u);
    for (const std::int64_t i : indices(batches)) {
      if (i >= 0) seen.insert(i);
    }
  }
  EXPECT_EQ(seen, (std::multiset<std::int64_t>{0, 1, 2}));
}

TEST(Loader, EpochsFollowWithoutAGapAndMatchFreshOnes) {
  const auto data = make(three_files());
  LoaderOptions o = small();
  auto loader = Loader::create(dataset(data), o);
  ASSERT_TRUE(loader.ok());
  for (std::uint64_t e = 0; e < 4; ++e) {
    ASSERT_TRUE((*loader)->start_epoch().ok());
    EXPECT_EQ(read_epoch(**loader), epoch(dataset(data), o, e)) << e;
  }
  // Somewhere else, and out of the middle.
  ASSERT_TRUE((*loader)->start_epoch(9).ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE((*loader)->next().ok());
  ASSERT_TRUE((*loader)->start_epoch().ok());
  EXPECT_EQ(read_epoch(**loader), epoch(dataset(data), o, 10));
}

TEST(Loader, WritesIntoBatchesNeverReachLaterOnes) {
  const auto data = make(three_files());
  for (const BatchFormat format : {BatchFormat::csr, BatchFormat::dense}) {
    LoaderOptions o = small();
    o.memory = 12'000'000;
    o.format = format;
    const auto reference = epoch(dataset(data), o);
    auto loader = Loader::create(dataset(data), o);
    ASSERT_TRUE(loader.ok()) << loader.status().to_string();
    for (int e = 0; e < 2; ++e) {
      ASSERT_TRUE((*loader)->start_epoch(0).ok());
      std::size_t i = 0;
      for (;;) {
        auto batch = (*loader)->next();
        ASSERT_TRUE(batch.ok());
        if (!*batch) break;
        ASSERT_EQ(rows_of(**batch), reference[i++]);
        for (const ArrayView& a : {(*batch)->values, (*batch)->dense}) {
          for (std::uint64_t k = 0; k < a.size; ++k) static_cast<float*>(a.data)[k] += 1e6F;
        }
        for (const ArrayView& a : {(*batch)->indptr, (*batch)->indices}) {
          for (std::uint64_t k = 0; k < a.size; ++k) static_cast<std::int32_t*>(a.data)[k] = -5;
        }
        static_cast<std::int64_t*>((*batch)->index.data)[0] = -77;
        static_cast<std::int64_t*>((*batch)->obs[0].values.data)[0] = -77;
      }
      EXPECT_EQ(i, reference.size());
    }
  }
}

TEST(Loader, FourBatchesCanBeHeldUnderEveryAcceptedBudget) {
  const auto data = make(three_files());
  for (std::uint64_t memory = 200'000; memory < 10'000'000; memory += memory / 2) {
    for (const BatchFormat format : {BatchFormat::csr, BatchFormat::dense}) {
      LoaderOptions o = small();
      o.memory = memory;
      o.format = format;
      o.slot_timeout_seconds = 5;
      auto loader = Loader::create(dataset(data), o);
      if (!loader.ok()) continue;
      ASSERT_TRUE((*loader)->start_epoch().ok());
      std::vector<Batch> held;
      for (int i = 0; i < 4; ++i) {
        auto batch = (*loader)->next();
        ASSERT_TRUE(batch.ok()) << memory << " " << batch.status().to_string();
        held.push_back(**batch);
      }
    }
  }
}

TEST(Loader, HoldingEverythingIsAnErrorThatCanBeMended) {
  const auto data = make(three_files());
  LoaderOptions o = small();
  o.memory = 3'000'000;
  o.slot_timeout_seconds = 0.2;
  int asked = 0;
  o.on_slots_exhausted = [&asked] { ++asked; };
  auto loader = Loader::create(dataset(data), o);
  ASSERT_TRUE(loader.ok()) << loader.status().to_string();
  ASSERT_TRUE((*loader)->start_epoch().ok());
  const auto reference = epoch(dataset(data), o);
  std::vector<Batch> held;
  Status error;
  while (error.ok() && held.size() < reference.size()) {
    auto batch = (*loader)->next();
    error = batch.status();
    if (batch.ok() && *batch) held.push_back(**batch);
  }
  ASSERT_EQ(error.code(), StatusCode::budget);
  EXPECT_THAT(error.message(), HasSubstr("batches are still referenced"));
  EXPECT_THAT(error.message(), HasSubstr("batch.clone()"));
  EXPECT_EQ(asked, 1);
  EXPECT_EQ((*loader)->stats().slots_held, held.size());
  for (std::size_t i = 0; i < held.size(); ++i) EXPECT_EQ(rows_of(held[i]), reference[i]);
  const std::size_t done = held.size();
  held.clear();
  const auto rest = read_epoch(**loader);
  EXPECT_EQ(done + rest.size(), reference.size());
  EXPECT_EQ(rest.front(), reference[done]);
}

TEST(Loader, HeldBatchesOutliveTheLoader) {
  const auto data = make(three_files());
  const auto reference = epoch(dataset(data), small());
  Batch held;
  {
    auto loader = Loader::create(dataset(data), small());
    ASSERT_TRUE((*loader)->start_epoch().ok());
    held = **(*loader)->next();
  }
  EXPECT_EQ(rows_of(held), reference[0]);
}

TEST(Loader, AReadErrorComesWithTheBatchThatNeededIt) {
  const auto data = make(three_files());
  LoaderOptions o = small();
  const auto reference = epoch(dataset(data), o, 5);
  auto loader = Loader::create(dataset(data), o);
  ASSERT_TRUE(loader.ok());
  // The row that comes in the 40th batch's middle.
  const auto bad = static_cast<std::uint64_t>(reference[40][10].index);
  const bool in_first = bad < 1200;
  testing::FakeSource& source = *data->sources[in_first ? 0 : 3];
  source.file().bad_offset = source.row_offset(in_first ? bad : bad - 1201);
  ASSERT_TRUE((*loader)->start_epoch(5).ok());
  std::size_t delivered = 0;
  Status error;
  while (error.ok()) {
    auto batch = (*loader)->next();
    error = batch.status();
    if (!batch.ok()) break;
    ASSERT_TRUE(*batch);
    EXPECT_EQ(rows_of(**batch), reference[delivered++]);
  }
  EXPECT_EQ(error.code(), StatusCode::io_error);
  EXPECT_THAT(error.message(), HasSubstr("Input/output error"));
  EXPECT_LE(delivered, 40u);
  const auto again = (*loader)->next();
  EXPECT_EQ(again.status().code(), StatusCode::io_error);
  EXPECT_THAT(again.status().message(), HasSubstr("finished"));
}

TEST(Loader, PeekLeavesTheBatch) {
  const auto data = make(three_files());
  auto loader = Loader::create(dataset(data), small());
  ASSERT_TRUE((*loader)->start_epoch().ok());
  const Rows peeked = rows_of(**(*loader)->peek());
  EXPECT_EQ(rows_of(**(*loader)->peek()), peeked);
  EXPECT_EQ(rows_of(**(*loader)->next()), peeked);
  EXPECT_NE(rows_of(**(*loader)->peek()), peeked);
  EXPECT_EQ((*loader)->stats().batches, 1u);
}

TEST(Loader, AdvanceTakesTheBatchThatWasPeekedAt) {
  const auto data = make(three_files());
  const auto reference = epoch(dataset(data), small());
  auto loader = Loader::create(dataset(data), small());
  EXPECT_FALSE((*loader)->advance());
  ASSERT_TRUE((*loader)->start_epoch().ok());
  EXPECT_FALSE((*loader)->advance());
  std::vector<Rows> found;
  for (;;) {
    ASSERT_TRUE((*loader)->peek().ok());
    const auto batch = *(*loader)->peek();
    if (!batch) break;
    EXPECT_EQ((*loader)->batches_left(), reference.size() - found.size());
    EXPECT_EQ((*loader)->stats().batches, found.size());
    EXPECT_EQ((*loader)->stats().slots_held, 0u);
    ASSERT_TRUE((*loader)->advance());
    EXPECT_FALSE((*loader)->advance());
    EXPECT_EQ((*loader)->stats().batches, found.size() + 1);
    EXPECT_EQ((*loader)->stats().slots_held, 1u);
    found.push_back(rows_of(*batch));
  }
  EXPECT_EQ(found, reference);
  // Nobody holds the batch when it is taken; another epoch, next() and close() forget what was peeked at.
  ASSERT_TRUE((*loader)->start_epoch().ok());
  ASSERT_TRUE((*loader)->peek().ok());
  EXPECT_TRUE((*loader)->advance());
  EXPECT_EQ((*loader)->stats().slots_held, 0u);
  ASSERT_TRUE((*loader)->peek().ok());
  ASSERT_TRUE((*loader)->next().ok());
  EXPECT_FALSE((*loader)->advance());
  ASSERT_TRUE((*loader)->peek().ok());
  ASSERT_TRUE((*loader)->start_epoch().ok());
  EXPECT_FALSE((*loader)->advance());
  ASSERT_TRUE((*loader)->peek().ok());
  (*loader)->close();
  EXPECT_FALSE((*loader)->advance());
}

TEST(Loader, CountsTheBatchesThatAreLeft) {
  const auto data = make(three_files());
  auto loader = Loader::create(dataset(data), small());
  EXPECT_EQ((*loader)->batches_left(), 0u);
  ASSERT_TRUE((*loader)->start_epoch().ok());
  for (std::uint64_t left = (*loader)->n_batches(); left > 0; --left) {
    EXPECT_EQ((*loader)->batches_left(), left);
    ASSERT_TRUE((*loader)->peek().ok());
    EXPECT_EQ((*loader)->batches_left(), left);
    ASSERT_TRUE((*loader)->next().ok());
  }
  EXPECT_EQ((*loader)->batches_left(), 0u);
  ASSERT_TRUE((*loader)->start_epoch().ok());
  (*loader)->close();
  EXPECT_EQ((*loader)->batches_left(), (*loader)->n_batches());
}

// One thread waits in next(); what others ask for meanwhile is refused, and the batch comes all the same.
TEST(Loader, RefusesASecondConsumer) {
  const auto data = make(three_files());
  auto loader = Loader::create(dataset(data), small());
  const auto reference = epoch(dataset(data), small());
  for (auto& source : data->sources) source->file().delay = std::chrono::milliseconds(100);
  // Only a wait asks whether it is to be interrupted. There is none where the batch came before this thread.
  std::vector<Status> found;
  for (int tries = 0; tries < 10 && found.empty(); ++tries) {
    ASSERT_TRUE((*loader)->start_epoch(0).ok());
    const auto batch = (*loader)->next([&] {
      if (found.empty()) {
        std::thread other([&] {
          found.push_back((*loader)->next().status());
          found.push_back((*loader)->peek().status());
          found.push_back((*loader)->start_epoch());
        });
        other.join();
      }
      return false;
    });
    ASSERT_TRUE(batch.ok()) << batch.status().to_string();
    EXPECT_EQ(rows_of(**batch), reference[0]);
  }
  ASSERT_EQ(found.size(), 3u) << "next() did not wait";
  for (const Status& status : found) {
    EXPECT_EQ(status.code(), StatusCode::cancelled);
    EXPECT_THAT(status.message(), HasSubstr("another thread"));
  }
  EXPECT_EQ(read_epoch(**loader).size(), reference.size() - 1);
}

// Whatever threads do to a loader at once: batches are whole, errors are clear, and the next epoch is right.
TEST(Loader, ThreadsThatDoNotKnowOfEachOther) {
  const auto data = make(three_files());
  const auto reference = epoch(dataset(data), small(), 5);
  auto loader = Loader::create(dataset(data), small());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 60; ++i) {
        if ((i + t) % 9 == 0) {
          const Status status = (*loader)->start_epoch();
          EXPECT_TRUE(status.ok() || status.code() == StatusCode::cancelled) << status.to_string();
          continue;
        }
        const auto batch = i % 7 == 0 ? (*loader)->peek() : (*loader)->next();
        if (!batch.ok()) {
          EXPECT_EQ(batch.status().code(), StatusCode::cancelled) << batch.status().to_string();
        } else if (*batch) {
          expect_contents(*data, {rows_of(**batch)});
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE((*loader)->start_epoch(5).ok());
  EXPECT_EQ(read_epoch(**loader), reference);
}

TEST(Loader, ClosesFromAnyState) {
  const auto data = make(three_files());
  data->sources[3]->file().delay = std::chrono::milliseconds(2);
  for (int when = 0; when < 12; ++when) {
    auto loader = Loader::create(dataset(data), small());
    ASSERT_TRUE(loader.ok());
    if (when > 0) ASSERT_TRUE((*loader)->start_epoch().ok());
    for (int i = 1; i < when; ++i) ASSERT_TRUE((*loader)->next().ok());
    if (when % 3 == 0) (*loader)->close();
    if (when % 3 == 0) EXPECT_EQ((*loader)->next().status().code(), StatusCode::cancelled);
  }
}

TEST(Loader, CloseWakesAWaitingConsumer) {
  const auto data = make(three_files());
  for (auto& source : data->sources) source->file().delay = std::chrono::milliseconds(200);
  auto loader = Loader::create(dataset(data), small());
  ASSERT_TRUE((*loader)->start_epoch().ok());
  std::thread closer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    (*loader)->close();
  });
  const auto batch = (*loader)->next();
  closer.join();
  if (!batch.ok()) EXPECT_EQ(batch.status().code(), StatusCode::cancelled);
}

TEST(Loader, InterruptingAWaitDoesNoHarm) {
  const auto data = make(three_files());
  for (auto& source : data->sources) source->file().delay = std::chrono::milliseconds(100);
  const auto reference = epoch(dataset(data), small());
  auto loader = Loader::create(dataset(data), small());
  Status cut;
  for (int tries = 0; tries < 10 && cut.ok(); ++tries) {  // no wait where the batch came before this thread
    ASSERT_TRUE((*loader)->start_epoch(0).ok());
    cut = (*loader)->next([] { return true; }).status();
  }
  EXPECT_EQ(cut.code(), StatusCode::cancelled);
  EXPECT_EQ(read_epoch(**loader), reference);
}

TEST(Loader, BatchesFreedByOtherThreadsReturnTheirSlots) {
  const auto data = make(three_files());
  LoaderOptions o = small();
  o.batch_size = 16;
  o.memory = 3'000'000;
  auto loader = Loader::create(dataset(data), o);
  ASSERT_TRUE(loader.ok());
  for (int e = 0; e < 3; ++e) {
    ASSERT_TRUE((*loader)->start_epoch().ok());
    std::vector<std::thread> threads;
    for (;;) {
      auto batch = (*loader)->next();
      ASSERT_TRUE(batch.ok()) << batch.status().to_string();
      if (!*batch) break;
      threads.emplace_back([b = std::move(**batch)] { std::this_thread::yield(); });
      if (threads.size() > 2) {
        for (auto& t : threads) t.join();
        threads.clear();
      }
    }
    for (auto& t : threads) t.join();
  }
}

TEST(Loader, LoadersShareABudget) {
  const auto data = make(three_files());
  LoaderOptions o = small();
  o.batch_size = 16;
  o.shared_budget = MemoryBudget::create(8'000'000);
  auto train = Loader::create(dataset(data), o);
  auto val = Loader::create(dataset(data), o);
  ASSERT_TRUE(train.ok()) << train.status().to_string();
  ASSERT_TRUE(val.ok()) << val.status().to_string();
  for (auto* loader : {&*train, &*val}) {
    ASSERT_TRUE((*loader)->start_epoch().ok());
    expect_exactly_once(read_epoch(**loader), 3701);
  }
  EXPECT_LE(o.shared_budget->usage().peak, 8'000'000u);
  train->reset();
  val->reset();
  EXPECT_EQ(o.shared_budget->usage().used, 0u);
}

TEST(Loader, AShareOfABudgetIsTheSameWhoeverElseLives) {
  FakeSpec spec = three_files();
  const auto data = make(spec);
  LoaderOptions o = small();
  o.batch_size = 16;
  o.memory = 2'000'000;
  auto alone = Loader::create(dataset(data), o);
  ASSERT_TRUE(alone.ok()) << alone.status().to_string();
  const std::string plan = (*alone)->plan().to_text();
  ASSERT_TRUE((*alone)->start_epoch().ok());
  const auto order = read_epoch(**alone);
  o.shared_budget = MemoryBudget::create(6'000'000, 3);
  std::vector<std::unique_ptr<Loader>> lives;
  for (int i = 0; i < 3; ++i) {
    auto loader = Loader::create(dataset(data), o);
    ASSERT_TRUE(loader.ok()) << loader.status().to_string();
    EXPECT_EQ((*loader)->plan().window_rows, (*alone)->plan().window_rows);
    EXPECT_EQ((*loader)->plan().memory, 2'000'000u);
    EXPECT_EQ((*loader)->plan().memory_by_tag, (*alone)->plan().memory_by_tag);
    ASSERT_TRUE((*loader)->start_epoch().ok());
    EXPECT_EQ(read_epoch(**loader), order);
    EXPECT_EQ((*loader)->stats().memory.limit, 2'000'000u);
    lives.push_back(*std::move(loader));
  }
  lives.clear();
  EXPECT_EQ(o.shared_budget->usage().used, 0u);
}

TEST(Loader, DecodesTheBytesItPredicts) {
  const auto data = make(three_files());
  auto loader = Loader::create(dataset(data), small());
  for (std::uint64_t epoch = 0; epoch < 2; ++epoch) {
    ASSERT_TRUE((*loader)->start_epoch(epoch).ok());
    read_epoch(**loader);
    EXPECT_EQ((*loader)->stats().epoch_bytes_decoded, (*loader)->epoch_cost(epoch)->bytes_to_decode);
  }
  EXPECT_GE((*loader)->stats().bytes_decoded, (*loader)->stats().epoch_bytes_decoded);
}

TEST(Loader, PredictsTheBytesItReads) {
  const auto data = make(three_files());
  auto loader = Loader::create(dataset(data), small());
  ASSERT_TRUE((*loader)->start_epoch(0).ok());
  read_epoch(**loader);
  // The next epoch's first windows may be on their way already.
  EXPECT_GE((*loader)->stats().bytes_read, (*loader)->plan().bytes_to_read);
  std::uint64_t payload = 0;
  for (const auto& source : data->sources) payload += source->file().size();
  EXPECT_GE((*loader)->plan().bytes_to_read, payload);
}

TEST(Loader, SaysThatDropLastLeavesNothing) {
  const auto data = make(three_files());
  LoaderOptions o = small();
  o.batch_size = 2000;
  o.memory = 100'000'000;
  o.drop_last = true;
  const auto notes = [&](std::uint32_t world_size) {
    o.world_size = world_size;
    return (*Loader::create(dataset(data), o))->plan().notes;
  };
  const auto says = [](const char* text) {
    return ::testing::Contains(::testing::Field(&Note::text, HasSubstr(text)));
  };
  EXPECT_THAT(notes(1), ::testing::Not(says("drop_last")));
  EXPECT_THAT(notes(1),
              ::testing::Not(::testing::Contains(::testing::Field(&Note::kind, NoteKind::no_batches))));
  EXPECT_THAT(notes(2), ::testing::Contains(::testing::Field(&Note::kind, NoteKind::no_batches)));
  EXPECT_THAT(notes(2),
              says("there are no batches: drop_last leaves out what does not fill one, and the 3,701 rows "
                   "of an epoch do not fill one of 2,000 on each rank"));
}

TEST(Loader, RefusesNonsense) {
  const auto data = make(three_files());
  const auto refuse = [&](auto change, const char* text) {
    LoaderOptions o = small();
    change(o);
    const auto loader = Loader::create(dataset(data), o);
    ASSERT_FALSE(loader.ok());
    EXPECT_EQ(loader.status().code(), StatusCode::invalid_argument);
    EXPECT_THAT(loader.status().message(), HasSubstr(text));
  };
  refuse([](LoaderOptions& o) { o.batch_size = 0; }, "batch_size");
  refuse([](LoaderOptions& o) { o.rank = 2, o.world_size = 2; }, "rank");
  refuse([](LoaderOptions& o) { o.obs = {"a", "a"}; }, "twice");
  refuse([](LoaderOptions& o) { o.threads = 100000; }, "threads");
}

TEST(Loader, TooSmallABudgetNamesTheWaysOut) {
  FakeSpec spec = three_files();
  spec.n_cols = 62710;
  const auto data = make(spec);
  LoaderOptions o = small();
  o.memory = 256'000'000;
  o.batch_size = 4096;
  o.format = BatchFormat::dense;
  const auto loader = Loader::create(dataset(data), o);
  ASSERT_FALSE(loader.ok());
  EXPECT_EQ(loader.status().code(), StatusCode::budget);
  const std::string text = loader.status().message();
  for (const char* part : {"memory=256 MB cannot hold this plan", "dense batch of 3,701 x 62,710 float32",
                           "batch_size <= ", "format=\"csr\"", "memory >= "}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, ::testing::Not(HasSubstr("bfloat16"))) << "half of 4 GB does not fit either";
  // The ways out are true: the batch size it names is accepted.
  const auto at = text.find("batch_size <= ") + 14;
  o.batch_size = std::stoull(text.substr(at));
  const auto smaller = Loader::create(dataset(data), o);
  EXPECT_TRUE(smaller.ok()) << smaller.status().to_string();
  // What code reads of them is what the message says.
  const Status refusal = loader.status();
  ASSERT_EQ(refusal.facts().ways_out.size(), 3u);
  ASSERT_NE(refusal.facts().way_out(Option::batch_size), nullptr);
  EXPECT_EQ(refusal.facts().way_out(Option::batch_size)->number, o.batch_size);
  ASSERT_NE(refusal.facts().way_out(Option::format), nullptr);
  EXPECT_EQ(refusal.facts().way_out(Option::format)->choice, "csr");
  ASSERT_NE(refusal.facts().way_out(Option::memory), nullptr);
  const std::uint64_t enough = refusal.facts().way_out(Option::memory)->number;
  EXPECT_THAT(text, HasSubstr("memory >= " + format_bytes(enough)));
  // So it is for CSR, in both orders.
  for (const bool shuffle : {true, false}) {
    o = small();
    o.memory = 1'500'000;
    o.batch_size = 3000;
    o.shuffle = shuffle;
    const auto refused = Loader::create(dataset(data), o);
    ASSERT_FALSE(refused.ok());
    const std::string why = refused.status().message();
    const auto named = why.find("Use batch_size <= ");
    ASSERT_NE(named, std::string::npos) << why;
    o.batch_size = std::stoull(why.substr(named + 18));
    const Status status = refused.status();
    EXPECT_EQ(status.facts().way_out(Option::batch_size)->number, o.batch_size);
    EXPECT_TRUE(Loader::create(dataset(data), o).ok()) << why << ": " << o.batch_size;
  }
}

}  // namespace
}  // namespace penstock
