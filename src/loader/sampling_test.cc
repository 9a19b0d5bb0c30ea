// Weights, balance and epoch_size through the whole loader: which rows come, how often, in any setting.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/starve.h"
#include "loader/residency.h"
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

constexpr std::uint64_t kRows = 3000;

// Class of a row: row % 5; the selection leaves few of classes 3 and 4.
bool kept(std::uint64_t row) {
  const std::uint64_t c = row % 5;
  return c < 3 || (c == 3 && row % 50 == 3) || (c == 4 && row % 500 == 4);
}

std::shared_ptr<FakeDataset> made_up(bool select = false) {
  FakeSpec spec;
  spec.files = {{1200, 20, 7}, {0, 5, 3}, {1800, 40, 13}};
  auto data = std::make_shared<FakeDataset>(std::move(spec));
  if (select) data->select(kept);
  return data;
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

std::unique_ptr<Loader> create(const std::shared_ptr<FakeDataset>& data, LoaderOptions options) {
  auto loader = Loader::create(std::make_shared<Dataset>(data), std::move(options));
  EXPECT_TRUE(loader.ok()) << loader.status().to_string();
  return loader.ok() ? *std::move(loader) : nullptr;
}

Status refusal(const std::shared_ptr<FakeDataset>& data, LoaderOptions options) {
  return Loader::create(std::make_shared<Dataset>(data), std::move(options)).status();
}

std::vector<Rows> epoch_of(Loader& loader, std::uint64_t epoch = 0) {
  EXPECT_TRUE(loader.start_epoch(epoch).ok());
  return read_epoch(loader);
}

std::map<std::int64_t, std::uint64_t> times(const std::vector<Rows>& batches) {
  std::map<std::int64_t, std::uint64_t> out;
  for (const Rows& batch : batches) {
    for (const auto& row : batch) ++out[row.index];
  }
  return out;
}

// Rows are what the dataset has, however often they come.
void expect_contents(const FakeDataset& data, const std::vector<Rows>& batches) {
  for (const Rows& batch : batches) {
    for (const auto& row : batch) {
      const auto i = static_cast<std::uint64_t>(row.index);
      EXPECT_EQ(row.label, row.index % 5);
      const auto expected = testing::fake_row(data.spec, data.means[i], i);
      ASSERT_EQ(row.entries.size(), expected.ids.size());
      for (std::size_t e = 0; e < row.entries.size(); ++e) {
        ASSERT_EQ(row.entries[e].first, expected.ids[e]);
        ASSERT_EQ(row.entries[e].second, expected.values[e]);
      }
    }
  }
}

TEST(Weighted, RowsComeAsOftenAsTheirWeightsSay) {
  const auto data = made_up();
  auto weights = std::make_shared<std::vector<double>>(kRows);
  double sum = 0;
  for (std::uint64_t i = 0; i < kRows; ++i)
    sum += (*weights)[i] = i % 4 == 0 ? 0 : 0.25 * static_cast<double>(i % 7);
  for (const std::uint64_t epoch_size : {0, 100, 2999, 10'000}) {
    for (const bool shuffle : {true, false}) {
      LoaderOptions o = small();
      o.weights = weights;
      o.epoch_size = epoch_size;
      o.shuffle = shuffle;
      const auto loader = create(data, o);
      const std::uint64_t n = epoch_size == 0 ? kRows : epoch_size;
      EXPECT_EQ(loader->plan().n_rows, n);
      EXPECT_EQ(loader->epoch_batches(), (n + 24) / 25);
      for (const std::uint64_t epoch : {0, 1}) {
        const auto batches = epoch_of(*loader, epoch);
        const auto found = times(batches);
        expect_contents(*data, batches);
        if (!shuffle) {
          std::int64_t last = 0;
          for (const Rows& batch : batches) {
            for (const auto& row : batch) EXPECT_GE(row.index, std::exchange(last, row.index));
          }
        }
        std::uint64_t total = 0, most = 0;
        for (std::uint64_t i = 0; i < kRows; ++i) {
          const double expected = static_cast<double>(n) * (*weights)[i] / sum;
          const auto it = found.find(static_cast<std::int64_t>(i));
          const std::uint64_t got = it == found.end() ? 0 : it->second;
          total += got;
          most = std::max(most, got);
          ASSERT_GE(static_cast<double>(got), std::floor(expected - 1e-6)) << i;
          ASSERT_LE(static_cast<double>(got), std::ceil(expected + 1e-6)) << i;
        }
        EXPECT_EQ(total, n);
        EXPECT_LE(most, loader->plan().most_copies);
        EXPECT_NEAR(static_cast<double>(found.size()), static_cast<double>(loader->plan().distinct_rows),
                    0.05 * static_cast<double>(n) + 5);
      }
      EXPECT_LE(loader->stats().memory.peak, loader->stats().memory.limit);
    }
  }
}

TEST(Weighted, BalancedClassesComeEquallyOften) {
  const auto data = made_up(true);
  LoaderOptions o = small();
  o.balance = "label";
  o.epoch_size = 5000;
  const auto loader = create(data, o);
  const auto batches = epoch_of(*loader);
  expect_contents(*data, batches);
  std::map<std::int64_t, double> classes;
  for (const auto& [row, n] : times(batches)) {
    EXPECT_TRUE(kept(static_cast<std::uint64_t>(row)));
    classes[row % 5] += static_cast<double>(n);
  }
  ASSERT_EQ(classes.size(), 5u);
  for (const auto& [c, n] : classes) EXPECT_NEAR(n, 1000, 60) << c;
  EXPECT_THAT(loader->plan().to_text(), HasSubstr("balanced by label"));
  // The six rows of the rarest class come 167 times each, and not all at once.
  const auto found = times(batches);
  for (std::uint64_t row = 4; row < kRows; row += 500)
    EXPECT_NEAR(static_cast<double>(found.at(static_cast<std::int64_t>(row))), 1000.0 / 6, 2);
  std::uint64_t longest = 0;
  for (const Rows& batch : batches) {
    std::uint64_t rare = 0;
    for (const auto& row : batch) rare += row.label == 4 ? 1 : 0;
    longest = std::max(longest, rare);
  }
  EXPECT_LT(longest, 25u) << "a batch of one class";
}

TEST(Weighted, LabelsGivenAreBalancedAsTheirColumnWouldBe) {
  const auto data = made_up(true);
  LoaderOptions column = small();
  column.balance = "label";
  column.epoch_size = 2000;
  LoaderOptions given = column;
  given.balance.clear();
  auto labels = std::make_shared<std::vector<std::int32_t>>();
  for (std::uint64_t row = 0; row < kRows; ++row) {
    // Other numbers for the same classes, one that no row has among them.
    if (kept(row)) labels->push_back(static_cast<std::int32_t>((row % 5 * 3 + 2) % 7));
  }
  given.balance_labels = labels;
  const auto a = create(data, column), b = create(data, given);
  EXPECT_THAT(b->plan().to_text(), HasSubstr("balanced by labels given"));
  for (const std::uint64_t epoch : {0, 3}) {
    const auto want = epoch_of(*a, epoch), have = epoch_of(*b, epoch);
    EXPECT_EQ(indices(want), indices(have));
    expect_contents(*data, have);
  }
  EXPECT_GE(b->stats().memory.used_by_tag[static_cast<std::size_t>(MemoryTag::obs)], 4 * labels->size());

  // A checkpoint knows them.
  LoaderOptions resumed = given;
  resumed.resume = *b->state();
  EXPECT_TRUE(refusal(data, resumed).ok());
  auto others = std::make_shared<std::vector<std::int32_t>>(*labels);
  std::swap(others->front(), others->back());
  resumed.balance_labels = others;
  EXPECT_THAT(refusal(data, resumed).message(), HasSubstr("balance: 'labels given, "));
  resumed.balance_labels = nullptr;
  resumed.balance = "label";
  EXPECT_THAT(refusal(data, resumed).message(), HasSubstr("in the checkpoint, 'label' here"));

  const auto refused = [&](std::vector<std::int32_t> wrong, const char* why) {
    LoaderOptions o = given;
    o.balance_labels = std::make_shared<std::vector<std::int32_t>>(std::move(wrong));
    const Status status = refusal(data, o);
    EXPECT_EQ(status.code(), StatusCode::invalid_argument);
    EXPECT_THAT(status.message(), HasSubstr(why));
  };
  refused({1, 2, 3}, "balance: 3 labels for ");
  others->front() = -1;
  refused(*others, "a label is class -1");
  others->front() = 1 << 20;
  refused(*others, "a label is class 1048576; classes are numbers from 0 to less than 1,048,576");
  given.balance = "label";
  EXPECT_THAT(refusal(data, given).message(), HasSubstr("labels or an obs column, not both"));
}

TEST(Weighted, WeightsOfCategories) {
  const auto data = made_up();
  LoaderOptions o = small();
  o.weights_column = "label";
  o.category_weights = {{"a", 4}, {"c", 0}, {"e", 0.5}};
  const auto loader = create(data, o);
  std::map<std::int64_t, double> classes;
  for (const auto& [row, n] : times(epoch_of(*loader))) classes[row % 5] += static_cast<double>(n);
  const double unit = kRows / 6.5;
  EXPECT_NEAR(classes[0], 4 * unit, 60);
  EXPECT_NEAR(classes[1], unit, 60);
  EXPECT_EQ(classes.count(2), 0u);
  EXPECT_NEAR(classes[3], unit, 60);
  EXPECT_NEAR(classes[4], unit / 2, 45);
}

TEST(Weighted, WeightsInsideBalancedClasses) {
  const auto data = made_up();
  auto weights = std::make_shared<std::vector<double>>(kRows);
  for (std::uint64_t i = 0; i < kRows; ++i) (*weights)[i] = i < kRows / 2 ? 3 : 1;
  LoaderOptions o = small();
  o.weights = weights;
  o.balance = "label";
  o.epoch_size = 20'000;
  std::map<std::int64_t, double> classes;
  double early = 0;
  for (const auto& [row, n] : times(epoch_of(*create(data, o)))) {
    classes[row % 5] += static_cast<double>(n);
    if (row < static_cast<std::int64_t>(kRows) / 2) early += static_cast<double>(n);
  }
  for (const auto& [c, n] : classes) EXPECT_NEAR(n, 4000, 100) << c;
  EXPECT_NEAR(early, 15'000, 50);
}

TEST(Weighted, OrderIsAFunctionOfItsInputsOnly) {
  const auto data = made_up(true);
  LoaderOptions o = small();
  o.balance = "label";
  o.epoch_size = 4000;
  const auto expected = epoch_of(*create(data, o), 1);
  for (const std::uint32_t threads : {1, 2, 5}) {
    for (const std::uint64_t memory : {4'000'000, 40'000'000}) {
      LoaderOptions other = o;
      other.threads = threads;
      other.memory = memory;
      other.block_rows = create(data, o)->plan().block_rows;
      o.block_rows = other.block_rows;
      const auto again = epoch_of(*create(data, other), 1);
      if (threads == 1 && memory == 4'000'000) {
        EXPECT_EQ(epoch_of(*create(data, o), 1), again);
      }
      EXPECT_EQ(epoch_of(*create(data, o), 1), again);
    }
  }
  EXPECT_EQ(expected.size(), 160u);
  // Rows that find no page come all the same.
  o.window_rows = 2000;
  o.memory = 8'000'000;
  const auto expected_again = epoch_of(*create(data, o), 1);
  const testing::StarvedWindows starved(1);
  const auto loader = create(data, o);
  EXPECT_EQ(epoch_of(*loader, 1), expected_again);
  EXPECT_GT(loader->stats().rows_deferred, 0u);
}

TEST(Weighted, RanksShareTheEpoch) {
  const auto data = made_up(true);
  LoaderOptions o = small();
  o.balance = "label";
  o.epoch_size = 1237;
  const auto whole = times(epoch_of(*create(data, o)));
  for (std::uint32_t world = 2; world <= 17; world += 3) {
    std::map<std::int64_t, std::uint64_t> together;
    std::uint64_t batches = 0;
    for (std::uint32_t rank = 0; rank < world; ++rank) {
      LoaderOptions of_rank = o;
      of_rank.rank = rank;
      of_rank.world_size = world;
      const auto loader = create(data, of_rank);
      const auto got = epoch_of(*loader);
      if (rank > 0) EXPECT_EQ(got.size(), batches);
      batches = got.size();
      for (const auto& [row, n] : times(got)) {
        if (row >= 0) together[row] += n;
      }
    }
    EXPECT_EQ(together, whole) << world << " ranks";
  }
}

TEST(Weighted, BytesReadAreThePlans) {
  const auto data = made_up(true);
  for (const std::uint64_t epoch_size : {500, 8000}) {
    LoaderOptions o = small();
    o.balance = "label";
    o.epoch_size = epoch_size;
    for (const std::uint64_t epoch : {0, 1}) {
      const auto loader = create(data, o);
      const auto cost = loader->epoch_cost(epoch);
      ASSERT_TRUE(cost.ok());
      if (epoch == 0) EXPECT_EQ(cost->bytes_to_read, loader->plan().bytes_to_read);
      epoch_of(*loader, epoch);
      const auto stats = loader->stats();
      EXPECT_EQ(stats.epoch_bytes_read, cost->bytes_to_read);
    }
  }
}

TEST(Weighted, SmallEpochsReadAShareOfTheBlocks) {
  FakeSpec spec;
  spec.files = {{12'000, 5, 4}};
  const auto data = std::make_shared<FakeDataset>(std::move(spec));
  LoaderOptions o = small();
  o.block_rows = 8;
  o.epoch_size = 2400;
  const auto loader = create(data, o);
  EXPECT_EQ(loader->plan().epochs_per_pass, 5u);
  const auto whole = [&] {
    LoaderOptions all = o;
    all.epoch_size = 0;
    return create(data, all)->plan().bytes_to_read;
  }();
  EXPECT_LT(loader->plan().bytes_to_read, whole / 4);
  std::map<std::int64_t, std::uint64_t> pass;
  for (std::uint64_t epoch = 0; epoch < 5; ++epoch) {
    const auto batches = epoch_of(*loader, epoch);
    EXPECT_EQ(batches.size(), 96u);
    for (const auto& [row, n] : times(batches)) pass[row] += n;
  }
  EXPECT_EQ(pass.size(), 12'000u);
  for (const auto& [row, n] : pass) EXPECT_EQ(n, 1u);
}

TEST(Weighted, ResumesWithTheSameAndWithOtherRanks) {
  const auto data = made_up(true);
  LoaderOptions o = small();
  o.balance = "label";
  o.epoch_size = 1500;
  for (const std::uint64_t epoch : {0, 3}) {
    const auto expected = epoch_of(*create(data, o), epoch);
    std::map<std::int64_t, std::uint64_t> whole = times(expected);
    for (const std::uint64_t done : {1, 13, 29, 59}) {
      const auto before = create(data, o);
      ASSERT_TRUE(before->start_epoch(epoch).ok());
      std::vector<Rows> first;
      for (std::uint64_t i = 0; i < done; ++i) first.push_back(rows_of(**before->next()));
      LoaderOptions again = o;
      const auto state = before->state();
      ASSERT_TRUE(state.ok());
      const auto text = LoaderState::from_json(state->to_json());
      ASSERT_TRUE(text.ok());
      again.resume = *text;
      const auto after = create(data, again);
      ASSERT_TRUE(after->start_epoch().ok());
      EXPECT_EQ(read_epoch(*after),
                std::vector<Rows>(expected.begin() + static_cast<std::ptrdiff_t>(done), expected.end()));
      // Other ranks: what is left comes, once for each copy.
      for (const std::uint32_t world : {2, 5}) {
        auto together = times(first);
        std::vector<Rows> all = first;
        for (std::uint32_t rank = 0; rank < world; ++rank) {
          LoaderOptions of_rank = again;
          of_rank.rank = rank;
          of_rank.world_size = world;
          const auto loader = create(data, of_rank);
          ASSERT_TRUE(loader->start_epoch().ok());
          const auto got = read_epoch(*loader);
          expect_contents(*data, got);
          for (const auto& [row, n] : times(got)) {
            if (row >= 0) together[row] += n;
          }
        }
        EXPECT_EQ(together, whole) << "behind " << done << " batches, " << world << " ranks";
      }
    }
  }
}

// What weighs more is longer: batches are planned for what comes.
TEST(Weighted, FourBatchesFitWhereHeavyRowsAreLong) {
  FakeSpec spec;
  for (int i = 0; i < 20; ++i) {
    spec.files.push_back({290, 10, 7});
    spec.files.push_back({10, 450, 3});
  }
  const auto data = std::make_shared<FakeDataset>(std::move(spec));
  auto weights = std::make_shared<std::vector<double>>();
  for (std::size_t i = 0; i < 6000; ++i) weights->push_back(data->means[i] > 100 ? 1 : 0.001);
  LoaderOptions o = small();
  o.window_rows = 0;
  o.batch_size = 128;
  o.weights = weights;
  o.slot_timeout_seconds = 0.2;
  for (const std::uint64_t memory : {8'000'000, 16'000'000}) {
    o.memory = memory;
    const auto loader = create(data, o);
    ASSERT_TRUE(loader->start_epoch().ok());
    std::vector<Batch> held;
    for (int i = 0; i < 47; ++i) {
      auto batch = loader->next();
      ASSERT_TRUE(batch.ok()) << i << ": " << batch.status().to_string();
      if (!*batch) break;
      held.push_back(*std::move(*batch));
      if (held.size() == 4) held.erase(held.begin());
    }
    EXPECT_LT(loader->stats().rows_deferred, 600u);
  }
}

// Files that are overwritten under a loader: an error, not a batch that never comes.
TEST(Weighted, LabelsThatChangeUnderTheLoaderAreAnError) {
  FakeSpec spec;
  spec.files = {{800'000, 1, 7}};
  const auto data = std::make_shared<FakeDataset>(std::move(spec));
  LoaderOptions o = small();
  o.obs = {};
  o.window_rows = 0;
  o.batch_size = 1000;
  o.memory = 7'000'000;
  o.weights_column = "label";
  o.category_weights = {{"a", 4}, {"b", 0}};
  for (const std::int32_t code : {0, 1}) {
    data->labels_are->store(-1);
    testing::keep_nothing(true);
    const auto loader = create(data, o);
    testing::keep_nothing(false);
    ASSERT_FALSE(loader->plan().resident_labels) << "labels are read with each block";
    ASSERT_TRUE(loader->start_epoch().ok());
    ASSERT_TRUE(loader->next().ok());
    data->labels_are->store(code);
    Status failed;
    for (int i = 0; i < 800 && failed.ok(); ++i) failed = loader->next().status();
    EXPECT_EQ(failed.code(), StatusCode::corrupt) << failed.to_string();
    EXPECT_THAT(failed.message(), HasSubstr("have changed since the loader was made"));
  }
}

TEST(Weighted, CheckpointsNameWhatIsDifferent) {
  const auto data = made_up();
  LoaderOptions o = small();
  o.weights = std::make_shared<std::vector<double>>(kRows, 2.0);
  o.epoch_size = 1000;
  const auto loader = create(data, o);
  const auto state = loader->state();
  ASSERT_TRUE(state.ok());
  o.resume = *state;
  EXPECT_TRUE(refusal(data, o).ok());
  LoaderOptions other = o;
  other.epoch_size = 1001;
  EXPECT_THAT(refusal(data, other).message(), HasSubstr("epoch_size: 1,000 in the checkpoint, 1,001 here"));
  other = o;
  other.weights = nullptr;
  EXPECT_THAT(refusal(data, other).message(), HasSubstr("weights: 'an array' in the checkpoint, '' here"));
  other = o;
  other.balance = "label";
  EXPECT_THAT(refusal(data, other).message(), HasSubstr("balance: '' in the checkpoint, 'label' here"));
  other = o;
  auto changed = std::make_shared<std::vector<double>>(kRows, 2.0);
  (*changed)[77] = 5;
  other.weights = changed;
  EXPECT_THAT(refusal(data, other).message(), HasSubstr("the weights of rows"));
  // The same sum in every block.
  auto moved = std::make_shared<std::vector<double>>(kRows, 2.0);
  (*moved)[2] = 1;
  (*moved)[3] = 3;
  other.weights = moved;
  EXPECT_THAT(refusal(data, other).message(), HasSubstr("the weights of rows"));
  other = o;
  other.weights = nullptr;
  other.epoch_size = 0;
  EXPECT_THAT(refusal(data, other).message(), HasSubstr("epoch_size: 1,000 in the checkpoint, 0 here"));
}

TEST(Weighted, AnEpochOfAllRowsIsNotSampled) {
  const auto data = made_up();
  LoaderOptions o = small();
  const auto plain = create(data, o);
  o.epoch_size = kRows;
  const auto same = create(data, o);
  EXPECT_FALSE(same->plan().sampled);
  EXPECT_EQ(epoch_of(*same), epoch_of(*plain));
}

TEST(Weighted, WhatMakesNoSenseIsRefused) {
  const auto data = made_up();
  const auto expect = [&](LoaderOptions o, StatusCode code, const std::string& text) {
    const Status status = refusal(data, o);
    EXPECT_EQ(status.code(), code) << status.to_string();
    EXPECT_THAT(status.message(), HasSubstr(text));
  };
  LoaderOptions o = small();
  o.weights = std::make_shared<std::vector<double>>(7, 1.0);
  expect(o, StatusCode::invalid_argument, "7 numbers for 3,000 selected rows");
  for (const double bad : {-1.0, std::nan(""), double{INFINITY}}) {
    auto weights = std::make_shared<std::vector<double>>(kRows, 1.0);
    (*weights)[1205] = bad;
    o.weights = weights;
    expect(o, StatusCode::invalid_argument, "the weight of row 5 of fake2 is");
  }
  o.weights = std::make_shared<std::vector<double>>(kRows, 0.0);
  expect(o, StatusCode::invalid_argument, "no selected row has a weight above 0");
  o.weights = std::make_shared<std::vector<double>>(kRows, 1e308);
  expect(o, StatusCode::invalid_argument, "no finite number");
  o = small();
  o.weights_column = "label";
  expect(o, StatusCode::invalid_argument, "holds categories, not numbers");
  o.category_weights = {{"z", 1}};
  expect(o, StatusCode::not_found, "has no category 'z'");
  o.weights = std::make_shared<std::vector<double>>(kRows, 1.0);
  expect(o, StatusCode::invalid_argument, "not both");
  o = small();
  o.epoch_size = std::uint64_t{1} << 34;
  expect(o, StatusCode::invalid_argument, "epoch_size must be at most");
}

}  // namespace
}  // namespace penstock
