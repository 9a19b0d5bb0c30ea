#include "engine/counters.h"

#include <gtest/gtest.h>

namespace penstock::loader {
namespace {

// The counters only ever see differences of times.
Clock::time_point at(int seconds) { return Clock::time_point() + std::chrono::seconds(seconds); }

Batch batch_of(std::uint64_t rows) {
  Batch batch;
  batch.n_rows = rows;
  return batch;
}

TEST(EngineCounters, ReadsCountForTheirEpoch) {
  EngineCounters c(1);
  c.start(3, at(0));
  c.read(0.5, 100, 2, 3);
  c.read(0.25, 1000, 1, 4);  // ahead of the consumer
  const LoaderStats now = c.stats(3, at(1));
  EXPECT_EQ(now.bytes_read, 1100u);
  EXPECT_EQ(now.reads, 3u);
  EXPECT_DOUBLE_EQ(now.read_seconds, 0.75);
  EXPECT_EQ(now.epoch_bytes_read, 100u);
  EXPECT_EQ(now.epoch_reads, 2u);
  c.forget_before(4);
  EXPECT_EQ(c.stats(3, at(1)).epoch_bytes_read, 0u);
  EXPECT_EQ(c.stats(4, at(1)).epoch_bytes_read, 1000u);
  c.forget_epochs();
  EXPECT_EQ(c.stats(4, at(1)).epoch_bytes_read, 0u);
  EXPECT_EQ(c.stats(4, at(1)).bytes_read, 1100u);
}

TEST(EngineCounters, ABlockCountsForItsFileAndItsEpoch) {
  EngineCounters c(2);
  c.start(0, at(0));
  BlockCounts block;
  block.file = 1;
  block.rows = 10;
  block.bytes_read = 70;
  block.bytes_decoded = 700;
  block.again = {.bytes = 5, .requests = 1};
  c.decoded(block);
  block.epoch = 1;
  c.decoded(block);
  const LoaderStats s = c.stats(0, at(1));
  EXPECT_EQ(s.rows_decoded, 20u);
  EXPECT_EQ(s.blocks_decoded, 2u);
  EXPECT_EQ(s.bytes_decoded, 1400u);
  EXPECT_EQ(s.epoch_bytes_decoded, 700u);
  EXPECT_EQ(s.bytes_reread, 10u);
  EXPECT_EQ(s.rereads, 2u);
  EXPECT_EQ(c.files()[0].blocks, 0u);
  EXPECT_EQ(c.files()[1].blocks, 2u);
  EXPECT_EQ(c.files()[1].rows, 20u);
  EXPECT_EQ(c.files()[1].bytes_read, 140u);
}

// Between two calls of next() the time is the training loop's, between two epochs nobody's.
TEST(EngineCounters, TellsWaitingFromWorking) {
  EngineCounters c(1);
  c.start(0, at(0));
  c.enter(at(1));
  c.begin_wait(at(1));
  c.end_wait(at(3));
  c.returned(batch_of(8), 50, 2, at(3));
  c.enter(at(7));
  LoaderStats s = c.stats(0, at(8));
  EXPECT_DOUBLE_EQ(s.consumer_wait_seconds, 2);
  EXPECT_DOUBLE_EQ(s.consumer_busy_seconds, 4);
  EXPECT_DOUBLE_EQ(s.first_batch_seconds, 3);
  EXPECT_DOUBLE_EQ(s.elapsed_seconds, 8);
  c.returned(batch_of(8), 70, 1, at(9));
  c.start(1, at(100));
  c.enter(at(101));
  s = c.stats(1, at(101));
  EXPECT_EQ(s.epoch, 1u);
  EXPECT_DOUBLE_EQ(s.consumer_busy_seconds, 4);
  EXPECT_DOUBLE_EQ(s.first_batch_seconds, 3);
  EXPECT_DOUBLE_EQ(s.last_batch_seconds, 9);
  EXPECT_EQ(s.batches, 2u);
  EXPECT_EQ(s.rows, 16u);
  EXPECT_EQ(s.entries, 120u);
  EXPECT_EQ(s.labels_missing, 3u);
}

TEST(EngineCounters, ASampleHoldsWhatIsUnderWay) {
  EngineCounters c(1);
  c.start(0, at(0));
  Levels levels;
  levels.window_used = 5;
  levels.slots_used = 6;
  c.begin_wait(at(1));
  c.record(levels, at(4));
  c.end_wait(at(4));
  c.returned(batch_of(1), 1, 0, at(4));
  c.record(levels, at(6));
  const auto history = c.history(nullptr);
  ASSERT_EQ(history.size(), 2u);
  EXPECT_DOUBLE_EQ(history[0].seconds, 4);
  EXPECT_DOUBLE_EQ(history[0].wait, 3);
  EXPECT_DOUBLE_EQ(history[0].busy, 0);
  EXPECT_DOUBLE_EQ(history[1].wait, 3);
  EXPECT_DOUBLE_EQ(history[1].busy, 2);
  EXPECT_EQ(history[1].window_used, 5u);
  EXPECT_EQ(history[1].slots_used, 6u);
}

// The present is a sample of its own only when batches came since the last one.
TEST(EngineCounters, HistoryEndsWithWhatCameSince) {
  EngineCounters c(1);
  const Levels levels;
  c.start(0, at(0));
  EXPECT_TRUE(c.history(&levels).empty());
  c.returned(batch_of(1), 1, 0, at(1));
  EXPECT_EQ(c.history(&levels).size(), 1u);
  EXPECT_TRUE(c.history(nullptr).empty());
  c.record(levels, at(2));
  EXPECT_EQ(c.history(&levels).size(), 1u);
}

TEST(EngineCounters, IdleTimeHasAReason) {
  EngineCounters c(1);
  using For = EngineCounters::IdleFor;
  c.idle(For::consumer, std::chrono::seconds(1));
  c.idle(For::pages, std::chrono::seconds(2));
  c.idle(For::reads, std::chrono::seconds(4));
  c.idle(For::others, std::chrono::seconds(8));
  const LoaderStats s = c.stats(0, at(0));
  EXPECT_DOUBLE_EQ(s.worker_idle_seconds, 15);
  EXPECT_DOUBLE_EQ(s.idle_for_consumer_seconds, 1);
  EXPECT_DOUBLE_EQ(s.idle_for_pages_seconds, 2);
  EXPECT_DOUBLE_EQ(s.idle_for_reads_seconds, 4);
  EXPECT_DOUBLE_EQ(s.elapsed_seconds, 0);  // no epoch was started
}

}  // namespace
}  // namespace penstock::loader
