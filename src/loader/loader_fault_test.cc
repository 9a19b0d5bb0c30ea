// The loader over files that misbehave and a budget that refuses: the same batches, or an error at the next()
// that needed the bytes, after which the loader is finished and gives everything back. docs/reliability.md
// lists these tests. Other invariant tests also run over benign faults: loader_test_benign_faults in
// ctest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "loader/testing/fake_dataset.h"
#include "loader/testing/fault_run.h"
#include "memory/refusal.h"
#include "penstock/loader.h"

namespace penstock {
namespace {

using testing::FakeDataset;
using testing::Faults;
using ::testing::HasSubstr;
using testing::Outcome;

std::shared_ptr<FakeDataset> make(bool by_columns = false, std::uint64_t times = 1) {
  testing::FakeSpec spec;
  spec.by_columns = by_columns;
  spec.files = {{1200 * times, 20, 7}, {2500 * times, 40, 13}};
  return std::make_shared<FakeDataset>(spec);
}
void set_faults(const FakeDataset& data, const Faults& faults) {
  for (const auto& source : data.sources) source->faults().set(faults);
}

LoaderOptions options(std::uint32_t threads) {
  LoaderOptions o;
  o.batch_size = 64;
  o.shared_budget = MemoryBudget::create(8'000'000);
  o.seed = 7;
  o.obs = {"label"};
  o.threads = threads;
  o.io_threads = 4;
  o.slot_timeout_seconds = 5;
  return o;
}

// An epoch over fake files; `begin` runs between create and the first read of the epoch.
testing::DatasetMaker maker(const std::shared_ptr<FakeDataset>& data) {
  return [data] { return Result<std::shared_ptr<const Dataset>>(std::make_shared<Dataset>(data)); };
}
Outcome run(const std::shared_ptr<FakeDataset>& data, const LoaderOptions& o,
            const std::function<void()>& begin) {
  return testing::run_epoch(maker(data), o, begin);
}
Outcome run_in_time(const std::shared_ptr<FakeDataset>& data, const LoaderOptions& o,
                    const std::function<void()>& begin) {
  return testing::run_epoch_in_time(maker(data), o, begin);
}

const std::vector<std::string>& reference(bool by_columns = false) {
  static const auto* batches = new std::vector<std::string>(run(make(), options(2), [] {}).batches);
  static const auto* of_columns = new std::vector<std::string>(run(make(true), options(2), [] {}).batches);
  return by_columns ? *of_columns : *batches;
}

struct Named {
  const char* name;
  Faults faults;
  const char* text = "";  // of the error
};
void PrintTo(const Named& n, std::ostream* out) { *out << n.name; }
std::string name_of(const ::testing::TestParamInfo<std::tuple<Named, std::uint32_t>>& info) {
  return std::string(std::get<0>(info.param).name) + "_" + std::to_string(std::get<1>(info.param)) +
         "_threads";
}

class BenignFaults : public ::testing::TestWithParam<std::tuple<Named, std::uint32_t>> {};
TEST_P(BenignFaults, GiveTheSameBatches) {
  const auto& [fault, threads] = GetParam();
  const auto data = make();
  set_faults(*data, fault.faults);
  const Outcome seen = run_in_time(data, options(threads), [] {});
  EXPECT_TRUE(seen.error.ok()) << seen.error.to_string();
  ASSERT_FALSE(reference().empty());
  EXPECT_TRUE(seen.batches == reference());
}
INSTANTIATE_TEST_SUITE_P(
    Loader, BenignFaults,
    ::testing::Combine(::testing::Values(Named{"ShortReads", {.short_reads = true}},
                                         Named{"Eintr", {.interrupts = true}},
                                         Named{"Delays", {.delay = std::chrono::microseconds(700)}},
                                         Named{"AllThree",
                                               {.delay = std::chrono::microseconds(300),
                                                .short_reads = true,
                                                .interrupts = true}}),
                       ::testing::Values(1U, 4U)),
    name_of);

class HostileFaults : public ::testing::TestWithParam<std::tuple<Named, std::uint32_t>> {};
TEST_P(HostileFaults, SurfaceAtTheBatchThatNeededTheBytes) {
  const auto& [fault, threads] = GetParam();
  const auto data = make();
  const Outcome seen = run_in_time(data, options(threads), [&, f = &fault] { set_faults(*data, f->faults); });
  ASSERT_EQ(seen.error.code(), StatusCode::io_error) << seen.error.to_string();
  // What came before is right, and nothing came short.
  ASSERT_LT(seen.batches.size(), reference().size());
  for (std::size_t i = 0; i < seen.batches.size(); ++i) EXPECT_TRUE(seen.batches[i] == reference()[i]) << i;
  EXPECT_THAT(seen.error.message(), HasSubstr(fault.text));
  EXPECT_THAT(seen.error.message(), ::testing::ContainsRegex("fake[01]: rows [0-9]+ to [0-9]+: fake[01]: "));
  if (std::strstr(fault.text, "reopened") == nullptr) {
    EXPECT_THAT(seen.error.message(), ::testing::ContainsRegex("reading [0-9]+ bytes at 0x"));
  }
}
INSTANTIATE_TEST_SUITE_P(
    Loader, HostileFaults,
    ::testing::Combine(
        ::testing::Values(
            Named{"EioOnce", {.fail_nth_read = 40}, "Input/output error"},
            Named{"EioForEver", {.fail_nth_read = 40, .fail_for_ever = true}, "Input/output error"},
            Named{"EioAtAByte", {.fail_at = 20'000}, "Input/output error"},
            Named{"EioAfterAShortRead",
                  {.fail_nth_read = 30, .short_before_error = true},
                  "Input/output error"},
            Named{"TruncatedWhileReading", {.shrink_to = 30'000}, "the file has shrunk to less than"},
            Named{"Vanished", {.vanish_at_read = 30}, "cannot be reopened: No such file"}),
        ::testing::Values(1U, 4U)),
    name_of);

// Rows that are turned: each read of a pass fails once, of the first pass and of the next epoch's.
TEST(LoaderFaults, EachReadOfAPassFails) {
  const auto& wanted = reference(true);
  ASSERT_FALSE(wanted.empty());
  std::uint64_t failed = 0;
  for (std::uint64_t nth = 1;; nth += 7) {
    ASSERT_LT(nth, 2000u);
    for (const std::uint32_t threads : {1U, 4U}) {
      const auto data = make(true);
      const Outcome seen = run_in_time(data, options(threads), [&] {
        set_faults(*data, {.fail_nth_read = static_cast<std::int64_t>(nth)});
      });
      for (std::size_t i = 0; i < seen.batches.size(); ++i) ASSERT_TRUE(seen.batches[i] == wanted[i]) << i;
      if (seen.error.ok()) {
        ASSERT_EQ(seen.batches.size(), wanted.size());
        if (threads == 4) {
          EXPECT_GE(failed, 10u);
          return;
        }
        continue;
      }
      ++failed;
      EXPECT_EQ(seen.error.code(), StatusCode::io_error) << seen.error.to_string();
      EXPECT_THAT(seen.error.message(),
                  ::testing::ContainsRegex("fake[01]: rows [0-9]+ to [0-9]+: .*reading [0-9]+ bytes at 0x"));
    }
  }
}

TEST(LoaderFaults, AnErrorWaitsForTheBatchThatNeedsIt) {
  // File order: the batches before the one with the bad byte come, all of them.
  const auto data = make();
  LoaderOptions o = options(2);
  o.shuffle = false;
  const RowIndex bad = 1000;
  const Outcome seen = run_in_time(
      data, o, [&] { data->sources[0]->faults().set({.fail_at = data->sources[0]->row_offset(bad) + 4}); });
  EXPECT_EQ(seen.error.code(), StatusCode::io_error);
  // The block with the row may begin in an earlier batch, by less than a block of rows.
  EXPECT_LE(seen.batches.size(), bad / o.batch_size);
  EXPECT_GT(seen.batches.size(), 0u);
}

// Whatever is refused, the k-th for each k: a clean error of the budget's kind that says so, or a run with the
// same batches.
void expect_each_refusal_to_be_clean(void (*refuse)(std::uint64_t nth), std::uint64_t (*asked)(),
                                     const char* what, const char* message, bool by_columns) {
  const auto& wanted = reference(by_columns);
  std::uint64_t refused = 0;
  for (std::uint64_t k = 1;; ++k) {
    ASSERT_LT(k, 1000u);
    const auto data = make(by_columns);
    const LoaderOptions o = options(2);
    refuse(k);
    const Outcome seen = run_in_time(data, o, [] {});
    const std::uint64_t n = asked();
    refuse(0);
    if (seen.error.ok()) {
      EXPECT_TRUE(seen.batches == wanted) << "other batches when " << what << " " << k << " was refused";
    } else {
      ++refused;
      EXPECT_EQ(seen.error.code(), StatusCode::budget) << k << ": " << seen.error.to_string();
      EXPECT_THAT(seen.error.message(), HasSubstr(message));
    }
    if (n < k) break;  // a whole run passed without a refusal
  }
  EXPECT_GE(refused, 5u);
}

TEST(LoaderFaults, BudgetRefusedAtEveryReservation) {
  for (const bool by_columns : {false, true}) {
    expect_each_refusal_to_be_clean(&testing::refuse_reservation, &testing::reservations_asked, "reservation",
                                    "cannot hold this plan", by_columns);
  }
}

TEST(LoaderFaults, AddressSpaceRefusedAtEveryMapping) {
  for (const bool by_columns : {false, true}) {
    expect_each_refusal_to_be_clean(&testing::refuse_mapping, &testing::mappings_asked, "mapping",
                                    "the system refused", by_columns);
  }
}

TEST(LoaderFaults, CountsBytesByEpochExactly) {
  for (const int kind : {0, 1, 2, 3}) {
    for (const std::uint32_t world : {1U, 3U}) {
      const bool shuffle = kind % 2 == 0, by_columns = kind >= 2;
      const auto data = make(by_columns, by_columns ? 3 : 1);
      LoaderOptions o = options(2);
      // Not all rows can be turned at once.
      if (by_columns) o.shared_budget = MemoryBudget::create(4'000'000);
      o.shuffle = shuffle;
      o.rank = world - 1;
      o.world_size = world;
      auto loader = Loader::create(std::make_shared<Dataset>(data), o);
      ASSERT_TRUE(loader.ok()) << loader.status().message();
      if (by_columns && world == 1) EXPECT_GT((*loader)->plan().passes, 2U);  // one over each file at least
      for (auto& source : data->sources) source->faults().reset_counters();
      for (std::uint64_t e = 0; e < 4; ++e) {
        ASSERT_TRUE((*loader)->start_epoch().ok());
        for (auto batch = (*loader)->next(); batch.ok() && *batch; batch = (*loader)->next()) continue;
        const auto cost = (*loader)->epoch_cost(e);
        ASSERT_TRUE(cost.ok());
        const LoaderStats stats = (*loader)->stats();
        EXPECT_EQ(stats.epoch_bytes_read, cost->bytes_to_read) << e << " of " << world;
        EXPECT_EQ(stats.epoch_reads, cost->requests) << e << " of " << world;
        if (e == 0) EXPECT_EQ((*loader)->plan().bytes_to_read, cost->bytes_to_read);
      }
      (*loader)->close();  // no read is under way now
      ByteCount counted = 0;
      for (auto& source : data->sources) counted += source->faults().bytes_read();
      const LoaderStats stats = (*loader)->stats();
      EXPECT_EQ(counted, stats.bytes_read + stats.bytes_reread);
      EXPECT_EQ((*loader)->epoch_cost(0).status().code(), StatusCode::cancelled);
    }
  }
}

}  // namespace
}  // namespace penstock
