// The batches that the report works out from the plan are those that the loader delivers.
#include "report/mixing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "loader/testing/fake_dataset.h"
#include "penstock/loader.h"

namespace penstock::report {
namespace {

using penstock::testing::FakeDataset;
using penstock::testing::FakeSpec;

std::shared_ptr<FakeDataset> fake() {
  FakeSpec spec;
  spec.files = {{700}, {1}, {2300}};
  return std::make_shared<FakeDataset>(spec);
}

Order order_of(const Plan& plan, std::uint64_t epoch, bool drop_last, bool exact_blocks) {
  return {plan.seed,        epoch,     plan.shuffle,    plan.batch_size, plan.block_rows,
          plan.window_rows, plan.rank, plan.world_size, drop_last,       exact_blocks};
}

void expect_same_as_loader(LoaderOptions options, std::uint64_t epoch, bool every_third = false) {
  auto data = fake();
  if (every_third) data->select([](std::uint64_t row) { return row % 3 == 1; });
  const auto dataset = std::make_shared<const Dataset>(data);
  options.memory = 4'000'000;
  options.obs = {"letter"};
  auto loader = Loader::create(dataset, options);
  ASSERT_TRUE(loader.ok()) << loader.status().to_string();
  const Plan& plan = (*loader)->plan();
  auto mixing = measure_mixing(*data, "letter", nullptr,
                               order_of(plan, epoch, options.drop_last, options.block_rows != 0),
                               MemoryBudget::create(1'000'000));
  ASSERT_TRUE(mixing.ok()) << mixing.status().to_string();
  ASSERT_TRUE((*loader)->start_epoch(epoch).ok());
  const std::vector<std::string> letters = {"a", "b", "c", "d", "e"};
  std::map<std::uint64_t, std::vector<std::uint32_t>> delivered;
  for (;;) {
    auto batch = (*loader)->next();
    ASSERT_TRUE(batch.ok());
    if (!*batch) break;
    auto& counts = delivered[(*batch)->number];
    counts.resize(mixing->lines.size());
    const auto* codes = static_cast<const std::int64_t*>((*batch)->obs[0].values.data);
    for (std::uint64_t i = 0; i < (*batch)->n_rows; ++i) {
      const std::string& name = letters[static_cast<std::size_t>(codes[i])];
      ++counts[static_cast<std::size_t>(std::find(mixing->lines.begin(), mixing->lines.end(), name) -
                                        mixing->lines.begin())];
    }
  }
  ASSERT_FALSE(mixing->batches.empty());
  for (std::size_t b = 0; b < mixing->batches.size(); ++b) {
    const auto at = mixing->penstock.counts.begin() + static_cast<std::ptrdiff_t>(b * mixing->lines.size());
    EXPECT_EQ(std::vector<std::uint32_t>(at, at + static_cast<std::ptrdiff_t>(mixing->lines.size())),
              delivered.at(mixing->batches[b]))
        << "batch " << mixing->batches[b];
  }
}

TEST(Mixing, IsWhatTheLoaderDelivers) {
  LoaderOptions options;
  options.batch_size = 50;
  options.window_rows = 600;
  options.block_rows = 20;
  options.seed = 7;
  expect_same_as_loader(options, 0);
  expect_same_as_loader(options, 3);
  expect_same_as_loader(options, 1, true);
  options.shuffle = false;
  expect_same_as_loader(options, 0);
}

TEST(Mixing, OfEachRank) {
  LoaderOptions options;
  options.batch_size = 33;
  options.window_rows = 330;
  options.world_size = 3;
  for (options.rank = 0; options.rank < 3; ++options.rank) expect_same_as_loader(options, 2);
  options.drop_last = true;
  options.rank = 1;
  expect_same_as_loader(options, 0);
}

TEST(Mixing, ComparesWithFileOrderAndFullShuffle) {
  const auto data = fake();
  Order order;
  order.batch_size = 100;
  order.block_rows = 10;
  order.window_rows = 1000;
  auto m = measure_mixing(*data, "letter", nullptr, order, MemoryBudget::create(1'000'000));
  ASSERT_TRUE(m.ok());
  EXPECT_EQ(m->n_categories, 5u);
  EXPECT_EQ(m->lines, (std::vector<std::string>{"a", "b", "c", "d", "e"}));
  EXPECT_NEAR(m->entropy, std::log2(5), 1e-3);
  EXPECT_EQ(m->batches.size(), 31u);
  // Letters come one after the other in the files: a full batch in file order holds 20 of each.
  for (std::size_t line = 0; line < 5; ++line) EXPECT_EQ(m->file_order.counts[line], 20u);
  EXPECT_NEAR(m->file_order.entropy[0], std::log2(5), 1e-9);
  for (const Panel* panel : {&m->penstock, &m->file_order, &m->full_shuffle}) {
    EXPECT_EQ(std::accumulate(panel->counts.begin(), panel->counts.end(), std::uint64_t{0}), 3001u);
    EXPECT_EQ(panel->entropy.size(), 31u);
  }
  // A shuffle is no regular pattern, and nearly as mixed.
  EXPECT_LT(m->full_shuffle.entropy[0], std::log2(5));
  EXPECT_GT(m->full_shuffle.mean_entropy, 2.1);
  // The full shuffle has each cell once.
  std::vector<std::uint64_t> sums(5);
  for (std::size_t i = 0; i < m->full_shuffle.counts.size(); ++i) sums[i % 5] += m->full_shuffle.counts[i];
  EXPECT_EQ(sums, m->line_cells);
}

TEST(Mixing, OfNothing) {
  const auto data = fake();
  data->select([](std::uint64_t) { return false; });
  auto m = measure_mixing(*data, "letter", nullptr, Order(), MemoryBudget::create(1'000'000));
  ASSERT_TRUE(m.ok()) << m.status().to_string();
  EXPECT_TRUE(m->batches.empty());
  EXPECT_EQ(m->entropy, 0);
}

}  // namespace
}  // namespace penstock::report
