#include "report/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::report {
namespace {

using ::testing::HasSubstr;

struct SomeRun {
  Plan plan;
  LoaderStats stats;
  SomeRun() {
    plan.n_rows = plan.rows_this_rank = 1000;
    plan.n_files = 1;
    plan.n_cols = 50;
    plan.batch_size = 64;
    plan.q_eff = 60;
    plan.threads = 2;
    plan.io_threads = 24;
    plan.format = "csr";
    plan.dtype = "float32";
    stats.batches = 16;
    stats.rows = 1000;
    stats.last_batch_seconds = 2;
    stats.consumer_wait_seconds = 1.8;
    stats.consumer_busy_seconds = 0.2;
  }
  Bottleneck bottleneck() const { return judge(plan, stats, 2).bottleneck; }
};

TEST(Words, NothingRan) {
  SomeRun run;
  run.stats = LoaderStats();
  EXPECT_EQ(run.bottleneck(), Bottleneck::nothing_ran);
  EXPECT_THAT(what_ran(run.plan, run.stats)[1], HasSubstr("No batch"));
}

TEST(Words, WhoHeldItUp) {
  SomeRun run;
  run.stats.decode_seconds = 3.5;
  EXPECT_EQ(run.bottleneck(), Bottleneck::decoding);
  run.stats.worker_idle_seconds = run.stats.idle_for_reads_seconds = 5;
  EXPECT_EQ(run.bottleneck(), Bottleneck::reading);
  run.stats.idle_for_reads_seconds = 0;
  run.stats.idle_for_pages_seconds = 5;
  EXPECT_EQ(run.bottleneck(), Bottleneck::memory);
  run.stats.idle_for_pages_seconds = 0;
  run.stats.idle_for_consumer_seconds = 5;
  EXPECT_EQ(run.bottleneck(), Bottleneck::batches_held);
  run.stats.consumer_wait_seconds = 0.01;
  run.stats.consumer_busy_seconds = 2;
  EXPECT_EQ(run.bottleneck(), Bottleneck::model);
}

TEST(Words, SaysWhatToChange) {
  SomeRun run;
  run.stats.decode_seconds = 3.5;
  EXPECT_THAT(judge(run.plan, run.stats, 8).advice[1], HasSubstr("2 of the 8 cores"));
  EXPECT_THAT(judge(run.plan, run.stats, 2).advice[1], HasSubstr("All 2 cores"));
  run.stats.rows_deferred = 100;
  EXPECT_THAT(judge(run.plan, run.stats, 2).advice[2], HasSubstr("read twice"));
}

}  // namespace
}  // namespace penstock::report
