// The batches that are worked out from the plan are those that the loader delivers.
#include "setup/label_mixing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "loader/loader_impl.h"
#include "loader/testing/batch_rows.h"
#include "loader/testing/fake_dataset.h"
#include "penstock/loader.h"

namespace penstock::loader {
namespace {

using penstock::testing::FakeDataset;
using penstock::testing::FakeSpec;
using penstock::testing::read_epoch;
using penstock::testing::Rows;
using ::testing::HasSubstr;

constexpr std::uint64_t kMemory = 1'000'000;  // of working a mixture out
constexpr std::uint64_t kAll = 1'000'000;     // batches

std::shared_ptr<FakeDataset> fake(std::uint64_t label_run = 1) {
  FakeSpec spec;
  spec.files = {{700}, {1}, {2300}};
  spec.label_run = label_run;
  return std::make_shared<FakeDataset>(spec);
}

std::unique_ptr<Loader> create(const std::shared_ptr<FakeDataset>& data, LoaderOptions options) {
  options.memory = 4'000'000;
  options.obs = {"letter"};
  auto loader = Loader::create(std::make_shared<const Dataset>(data), options);
  EXPECT_TRUE(loader.ok()) << loader.status().to_string();
  return loader.ok() ? *std::move(loader) : nullptr;
}

LabelMixing worked_out(const Loader& loader, std::uint64_t epoch, std::uint64_t most = kAll) {
  auto mixing = loader.impl().engine->mixing("letter", epoch, most, *MemoryBudget::create(kMemory));
  EXPECT_TRUE(mixing.ok()) << mixing.status().to_string();
  return mixing.ok() ? *std::move(mixing) : LabelMixing();
}

// Cells of each letter.
std::vector<std::uint32_t> counts_of(const Rows& batch) {
  std::vector<std::uint32_t> counts(6);
  for (const auto& row : batch) ++counts[static_cast<std::size_t>(row.label)];
  return counts;
}

std::vector<std::uint32_t> counts_of(const CodeCounts& counts, std::size_t batch) {
  const auto of_batch = counts.of(batch);
  return {of_batch.begin(), of_batch.end()};
}

void expect_same_as_loader(const std::shared_ptr<FakeDataset>& data, const LoaderOptions& options,
                           std::uint64_t epoch) {
  const auto loader = create(data, options);
  const LabelMixing mixing = worked_out(*loader, epoch);
  ASSERT_TRUE(loader->start_epoch(epoch).ok());
  const auto delivered = read_epoch(*loader);
  // The last rank's extra row is left out.
  ASSERT_GE(mixing.batches.size() + 1, delivered.size());
  ASSERT_FALSE(mixing.batches.empty());
  double entropy = 0;
  for (std::size_t b = 0; b < mixing.batches.size(); ++b) {
    EXPECT_EQ(mixing.batches[b], b);
    EXPECT_EQ(counts_of(mixing.penstock, b), counts_of(delivered[b])) << "batch " << b;
    entropy += entropy_bits(std::span<const std::uint32_t>(counts_of(delivered[b])));
  }
  const Mixing told = *loader->mixing("letter", epoch);
  EXPECT_NEAR(told.entropy, entropy / static_cast<double>(mixing.batches.size()), 1e-9);
  EXPECT_EQ(told.epoch, epoch);
  EXPECT_EQ(told.n_batches, mixing.batches.size());
  EXPECT_EQ(told.batches_looked_at, told.n_batches);
}

TEST(Mixing, IsWhatTheLoaderDelivers) {
  LoaderOptions options;
  options.batch_size = 50;
  options.window_rows = 600;
  options.block_rows = 20;
  options.seed = 7;
  for (const std::uint64_t label_run : {1, 130}) {
    const auto data = fake(label_run);
    for (const bool shuffle : {true, false}) {
      options.shuffle = shuffle;
      expect_same_as_loader(data, options, 0);
      expect_same_as_loader(data, options, 3);
    }
    options.shuffle = true;
    data->select([](std::uint64_t row) { return row % 3 == 1; });
    expect_same_as_loader(data, options, 1);
  }
}

TEST(Mixing, OfEachRank) {
  LoaderOptions options;
  options.batch_size = 33;
  options.window_rows = 330;
  options.world_size = 3;
  for (options.rank = 0; options.rank < 3; ++options.rank) expect_same_as_loader(fake(40), options, 2);
  options.drop_last = true;
  options.rank = 1;
  expect_same_as_loader(fake(40), options, 0);
}

// Copies of rows, too, and blocks that are visited twice.
TEST(Mixing, WhereRowsAreSampled) {
  FakeSpec spec;
  spec.files = {{700}, {1}, {2300}};
  spec.label_run = 1200;  // c is rare
  const auto data = std::make_shared<FakeDataset>(spec);
  LoaderOptions options;
  options.batch_size = 50;
  options.window_rows = 600;
  options.block_rows = 20;
  for (const char* balance : {"", "letter"}) {
    options.balance = balance;
    for (const std::uint64_t epoch_size : {500, 3001, 7000}) {
      options.epoch_size = epoch_size;
      for (const bool shuffle : {true, false}) {
        options.shuffle = shuffle;
        expect_same_as_loader(data, options, 1);
      }
    }
  }
  options.shuffle = true;
  options.world_size = 2;
  options.rank = 1;
  expect_same_as_loader(data, options, 2);
  const auto loader = create(data, options);
  const Mixing told = *loader->mixing("letter");
  EXPECT_NEAR(told.entropy_of_cells, std::log2(3), 0.1) << "three letters, as often; half of the epoch tells";
  EXPECT_GT(told.entropy_full_shuffle, 1.5);
  EXPECT_LT(told.entropy_file_order, 0.2);
  const LabelMixing open = worked_out(*loader, 2);
  loader->close();
  const auto budget = MemoryBudget::create(kMemory);
  const auto config = rows_again(loader->impl().engine->config(), *data, *budget);
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  const auto closed = work_out_mixing(*config, config->whole_epoch(2), *data, "letter", kAll, *budget);
  ASSERT_TRUE(closed.ok());
  for (std::size_t b = 0; b < open.batches.size(); ++b)
    EXPECT_EQ(counts_of(closed->penstock, b), counts_of(open.penstock, b));
}

// The rest of an epoch that two ranks began and three go on with.
TEST(Mixing, OfAnEpochThatOtherRanksBegan) {
  const auto data = fake(90);
  LoaderOptions options;
  options.batch_size = 50;
  options.window_rows = 600;
  options.world_size = 2;
  const auto before = create(data, options);
  ASSERT_TRUE(before->start_epoch(1).ok());
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(before->next().ok());
  options.resume = *before->state();
  options.world_size = 3;
  for (options.rank = 0; options.rank < 3; ++options.rank) {
    expect_same_as_loader(data, options, 1);
    expect_same_as_loader(data, options, 2);
  }
}

// Resumed by the same ranks, an epoch is looked at whole.
TEST(Mixing, OfAResumedEpochIsThatOfTheWholeOne) {
  const auto data = fake(90);
  LoaderOptions options;
  options.batch_size = 50;
  options.window_rows = 600;
  const auto before = create(data, options);
  const LabelMixing whole = worked_out(*before, 0);
  ASSERT_TRUE(before->start_epoch().ok());
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(before->next().ok());
  options.resume = *before->state();
  const LabelMixing resumed = worked_out(*create(data, options), 0);
  ASSERT_EQ(resumed.batches, whole.batches);
  for (std::size_t b = 0; b < whole.batches.size(); ++b)
    EXPECT_EQ(counts_of(resumed.penstock, b), counts_of(whole.penstock, b));
}

TEST(Mixing, ComparesWithFileOrderAndFullShuffle) {
  LoaderOptions options;
  options.batch_size = 100;
  options.block_rows = 10;
  options.window_rows = 1000;
  const LabelMixing m = worked_out(*create(fake(), options), 0);
  EXPECT_EQ(m.appeared, (std::vector<std::uint32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(m.name(1), "b");
  EXPECT_EQ(m.name(5), "(missing)");
  EXPECT_EQ(m.batches.size(), 31u);
  EXPECT_NEAR(summary(m).entropy_of_cells, std::log2(5), 1e-3);
  // Letters come one after the other in the files: a full batch in file order holds 20 of each.
  EXPECT_EQ(counts_of(m.file_order, 0), (std::vector<std::uint32_t>{20, 20, 20, 20, 20, 0}));
  for (const CodeCounts* counts : {&m.penstock, &m.file_order, &m.full_shuffle}) {
    std::vector<std::uint64_t> sums(6);  // each cell comes once
    for (std::size_t b = 0; b < counts->n_batches(); ++b) {
      for (std::size_t code = 0; code < 6; ++code) sums[code] += counts->of(b)[code];
    }
    EXPECT_EQ(sums, m.cells);
  }
  // A shuffle is no regular pattern, and nearly as mixed.
  EXPECT_LT(entropy_bits(m.full_shuffle.of(0)), std::log2(5));
  EXPECT_GT(mean_entropy(m.full_shuffle), 2.1);
}

// Blocks of one letter each: what a batch is worth is the design's formula.
TEST(Mixing, WorthInIndependentCellsIsAsPlannedWhereBlocksHaveOneLabel) {
  FakeSpec spec;
  spec.files = {{60'000, 2, 40}};
  spec.label_run = 40;
  const auto data = std::make_shared<FakeDataset>(spec);
  LoaderOptions options;
  options.batch_size = 200;
  options.block_rows = 40;
  options.window_rows = 2000;
  const auto loader = create(data, options);
  const Mixing blocks = *loader->mixing("letter", 1);
  EXPECT_NEAR(loader->plan().q_eff, 200 / (1 + 39.0 * 199 / 1999), 1e-9);
  EXPECT_NEAR(blocks.q_eff, loader->plan().q_eff, 0.15 * loader->plan().q_eff);
  // Windows of epoch 0 that are smaller do not count, or it would be less.
  EXPECT_NEAR(loader->mixing("letter", 0)->q_eff, loader->plan().q_eff, 0.15 * loader->plan().q_eff);
  // Single rows that are independent.
  options.block_rows = 1;
  EXPECT_GT(create(data, options)->mixing("letter", 1)->q_eff, 150);
}

TEST(Mixing, LooksAtFewerBatchesWhenTheyAreMany) {
  LoaderOptions options;
  options.batch_size = 10;
  options.block_rows = 10;
  options.window_rows = 500;
  const auto loader = create(fake(70), options);
  const LabelMixing all = worked_out(*loader, 0), few = worked_out(*loader, 0, 30);
  ASSERT_EQ(all.batches.size(), 301u);
  ASSERT_EQ(few.batches.size(), 30u);
  EXPECT_EQ(few.batches.front(), 0u);
  EXPECT_GT(few.batches.back(), 280u);
  for (std::size_t b = 0; b < few.batches.size(); ++b) {
    EXPECT_EQ(counts_of(few.penstock, b), counts_of(all.penstock, few.batches[b]));
    EXPECT_EQ(counts_of(few.file_order, b), counts_of(all.file_order, few.batches[b]));
    EXPECT_EQ(few.mixed_less[b], few.batches[b] < loader->plan().ramp_batches);
  }
  EXPECT_EQ(few.cells, all.cells);
  EXPECT_NEAR(mean_entropy(few.penstock), mean_entropy(all.penstock), 0.1);
}

TEST(Mixing, OfNothing) {
  const auto data = fake();
  data->select([](std::uint64_t) { return false; });
  const auto m = create(data, {})->mixing("letter");
  ASSERT_TRUE(m.ok()) << m.status().to_string();
  EXPECT_EQ(m->batches_looked_at, 0u);
  EXPECT_EQ(m->entropy_of_cells, 0);
  EXPECT_EQ(m->to_text(), "letter: no batches");
}

TEST(Mixing, StaysInsideTheMemoryGiven) {
  const auto loader = create(fake(), {});
  const auto refused = loader->mixing("letter", 0, 1000);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::budget);
  const auto budget = MemoryBudget::create(kMemory);
  {
    const auto mixing = loader->impl().engine->mixing("letter", 0, kAll, *budget);
    ASSERT_TRUE(mixing.ok());
    EXPECT_GT(budget->usage().used, 0u) << "the counts";
    EXPECT_GT(budget->usage().peak, 3001 * 16u) << "and the rows";
  }
  EXPECT_EQ(budget->usage().used, 0u);
}

TEST(Mixing, AfterTheEnd) {
  const auto data = fake(90);
  LoaderOptions options;
  options.batch_size = 50;
  options.window_rows = 600;
  const auto loader = create(data, options);
  const LabelMixing open = worked_out(*loader, 2);
  loader->close();
  EXPECT_EQ(loader->mixing("letter").status().code(), StatusCode::cancelled);
  const auto budget = MemoryBudget::create(kMemory);
  const auto config = rows_again(loader->impl().engine->config(), *data, *budget);
  ASSERT_TRUE(config.ok());
  const auto closed = work_out_mixing(*config, config->whole_epoch(2), *data, "letter", kAll, *budget);
  ASSERT_TRUE(closed.ok());
  for (std::size_t b = 0; b < open.batches.size(); ++b)
    EXPECT_EQ(counts_of(closed->penstock, b), counts_of(open.penstock, b));
}

TEST(Mixing, Words) {
  Mixing m;
  m.label = "drug";
  m.epoch = 2;
  m.n_batches = 3125;
  m.batches_looked_at = 1024;
  m.n_categories = 384;
  m.entropy_of_cells = 8.58;
  m.entropy = 5.471;
  m.entropy_full_shuffle = 5.48;
  m.entropy_file_order = 0.12;
  m.q_eff = 61.7;
  EXPECT_EQ(m.to_text(),
            "drug: 384 values, 8.58 bits over all cells; a batch has 5.47 (a full shuffle 5.48, file order "
            "0.12) and is worth 61 independent cells; epoch 2, 1,024 of 3,125 batches");
  EXPECT_THAT(m.to_json(), HasSubstr("\"entropy\": 5.471"));
}

}  // namespace
}  // namespace penstock::loader
