// Rows of files that are stored by columns: the batches are those of the same rows stored one by one, for any
// number of passes.
#include "engine/turner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "loader/testing/fake_dataset.h"
#include "loader/testing/fault_run.h"
#include "penstock/loader.h"

namespace penstock::loader {
namespace {

using penstock::testing::FakeDataset;
using ::testing::HasSubstr;

std::shared_ptr<FakeDataset> make(bool by_columns) {
  penstock::testing::FakeSpec spec;
  spec.files = {{7200, 20, 7}, {0, 0, 1}, {15'000, 40, 13}, {1800, 0, 5}};
  spec.by_columns = by_columns;
  return std::make_shared<FakeDataset>(spec);
}

LoaderOptions options(ByteCount memory) {
  LoaderOptions o;
  o.batch_size = 64;
  o.memory = memory;
  o.seed = 7;
  o.obs = {"label"};
  o.threads = 3;
  o.io_threads = 2;
  o.slot_timeout_seconds = 5;
  return o;
}

std::vector<std::string> epochs(const std::shared_ptr<FakeDataset>& data, const LoaderOptions& o, int n,
                                std::uint64_t* passes = nullptr) {
  std::vector<std::string> out;
  auto loader = Loader::create(std::make_shared<Dataset>(data), o);
  EXPECT_TRUE(loader.ok()) << loader.status().to_string();
  if (!loader.ok()) return out;
  if (passes != nullptr) *passes = (*loader)->plan().passes;
  for (int e = 0; e < n; ++e) {
    EXPECT_TRUE((*loader)->start_epoch().ok());
    for (auto batch = (*loader)->next();; batch = (*loader)->next()) {
      EXPECT_TRUE(batch.ok()) << batch.status().to_string();
      if (!batch.ok() || !*batch) break;
      out.push_back(penstock::testing::bytes_of(**batch));
    }
    const auto cost = (*loader)->epoch_cost(static_cast<std::uint64_t>(e));
    EXPECT_TRUE(cost.ok());
    if (cost.ok()) EXPECT_EQ((*loader)->stats().epoch_bytes_read, cost->bytes_to_read) << e;
  }
  return out;
}

TEST(Turner, BatchesAreThoseOfRows) {
  for (const ByteCount memory : {4'000'000, 40'000'000}) {
    for (const int variant : {0, 1, 2, 3, 4, 5}) {
      SCOPED_TRACE(::testing::Message() << memory << " " << variant);
      LoaderOptions o = options(memory);
      o.block_rows = 16;
      o.window_rows = 512;
      if (variant == 1) o.shuffle = false;
      if (variant == 2) o.rank = 1, o.world_size = 3;
      if (variant == 3) o.threads = 1;
      if (variant == 4) o.balance = "label", o.epoch_size = 3000;
      if (variant == 5) o.drop_last = true, o.batch_size = 100;
      const auto columns = make(true), rows = make(false);
      if (variant == 3) {
        for (const auto& data : {columns, rows}) data->select([](std::uint64_t row) { return row % 5 < 2; });
      }
      std::uint64_t passes = 0;
      const auto found = epochs(columns, o, 2, &passes);
      EXPECT_FALSE(found.empty());
      EXPECT_TRUE(found == epochs(rows, o, 2));
      EXPECT_GE(passes, 1u);
    }
  }
}

TEST(Turner, LessMemoryTakesMorePasses) {
  std::uint64_t few = 0, some = 0, many = 0;
  const auto data = make(true);
  const auto all = epochs(data, options(40'000'000), 1, &few);
  EXPECT_EQ(few, 1u);
  EXPECT_EQ(epochs(data, options(6'000'000), 1, &some).size(), all.size());
  EXPECT_EQ(epochs(data, options(4'000'000), 1, &many).size(), all.size());
  EXPECT_GT(some, few);
  EXPECT_GT(many, some);
}

TEST(Turner, TooManyPassesAreRefused) {
  penstock::testing::FakeSpec spec;
  spec.files = {{60'000, 60, 7}};
  spec.by_columns = true;
  const auto data = std::make_shared<Dataset>(std::make_shared<FakeDataset>(spec));
  const auto loader = Loader::create(data, options(2'000'000));
  ASSERT_EQ(loader.status().code(), StatusCode::budget);
  EXPECT_THAT(loader.status().message(),
              ::testing::ContainsRegex("fake0: [0-9]+ passes an epoch over .*no more than 8 are made"));
  const WayOut* way = loader.status().facts().way_out(Option::memory);
  ASSERT_NE(way, nullptr);
  EXPECT_TRUE(Loader::create(data, options(way->number)).ok());
  // All rows in a block that cannot be held.
  LoaderOptions one = options(4'000'000);
  one.block_rows = 60'000;
  const auto refused = Loader::create(data, one);
  ASSERT_EQ(refused.status().code(), StatusCode::budget);
  EXPECT_THAT(refused.status().message(), HasSubstr("rows 0 to 59999 are a block of"));
}

// An epoch that is left in the middle of a pass, and a loader that is closed there.
TEST(Turner, APassIsLeftAtOnce) {
  const auto data = make(true);
  for (const auto& source : data->sources) source->faults().set({.delay = std::chrono::microseconds(2000)});
  auto loader = Loader::create(std::make_shared<Dataset>(data), options(20'000'000));
  ASSERT_TRUE(loader.ok()) << loader.status().to_string();
  for (const std::uint64_t epoch : {0, 5, 2}) {
    ASSERT_TRUE((*loader)->start_epoch(epoch).ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const auto batch = (*loader)->next();
  ASSERT_TRUE(batch.ok()) << batch.status().to_string();
  EXPECT_EQ((*batch)->epoch, 2u);
  ASSERT_TRUE((*loader)->start_epoch(9).ok());
  (*loader)->close();
}

}  // namespace
}  // namespace penstock::loader
