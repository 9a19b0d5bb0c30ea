#include "engine/epoch_progress.h"

#include <gtest/gtest.h>

#include <utility>

namespace penstock::loader {
namespace {

// An epoch of 100 rows in batches of 10 on one rank; the checkpoint, where there is one, stands in epoch 2.
class EpochProgressTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.state.n_obs = 100;
    config_.state.batch_size = 10;
    config_.state.window_rows = 50;
    config_.share = config_.whole_epoch(0).share;
    ASSERT_EQ(config_.share.n_batches, 10u);
  }
  // After `done` batches on one rank.
  void resume_after(std::uint64_t done) {
    plan::EpochPart part = config_.whole_epoch(2);
    part.batches_done = done;
    part.lineage = {{1, done}};
    config_.resume = std::move(part);
  }
  static void start(EpochProgress& progress, std::uint64_t epoch) {
    progress.turn_to(epoch);
    progress.begin(epoch);
  }
  static void take(EpochProgress& progress, int n) {
    for (int i = 0; i < n; ++i) progress.take();
  }

  EngineConfig config_;
};

TEST_F(EpochProgressTest, CountsDownAnEpoch) {
  EpochProgress progress(&config_);
  EXPECT_FALSE(progress.in_epoch());
  EXPECT_EQ(progress.batches_left(), 0u);
  EXPECT_EQ(progress.next_epoch(), 0u);
  start(progress, 0);
  EXPECT_TRUE(progress.in_epoch());
  EXPECT_EQ(progress.next_epoch(), 1u);
  EXPECT_EQ(progress.batches_left(), 10u);
  take(progress, 9);
  EXPECT_FALSE(progress.done());
  EXPECT_FALSE(progress.follows(1));
  take(progress, 1);
  EXPECT_TRUE(progress.done());
  EXPECT_TRUE(progress.follows(1));
  EXPECT_FALSE(progress.follows(0));
  EXPECT_FALSE(progress.follows(2));
  progress.leave();
  EXPECT_FALSE(progress.in_epoch());
}

TEST_F(EpochProgressTest, ACheckpointSaysWhatWasReturned) {
  EpochProgress progress(&config_);
  EXPECT_EQ(progress.state(std::nullopt)->epoch, 0u);
  EXPECT_TRUE(progress.state(std::nullopt)->lineage.empty());
  EXPECT_EQ(progress.state(1).status().code(), StatusCode::invalid_argument);
  start(progress, 4);
  EXPECT_EQ(progress.state(std::nullopt)->epoch, 4u);
  EXPECT_TRUE(progress.state(std::nullopt)->lineage.empty());
  take(progress, 3);
  EXPECT_EQ(progress.state(std::nullopt)->lineage, (Lineage{{1, 3}}));
  EXPECT_EQ(progress.state(2)->lineage, (Lineage{{1, 2}}));
  EXPECT_TRUE(progress.state(0)->lineage.empty());
  EXPECT_EQ(progress.state(4).status().code(), StatusCode::invalid_argument);
}

TEST_F(EpochProgressTest, AtTheEndTheCheckpointIsTheNextEpochsBeginning) {
  EpochProgress progress(&config_);
  start(progress, 4);
  take(progress, 10);
  const auto state = progress.state(std::nullopt);
  EXPECT_EQ(state->epoch, 5u);
  EXPECT_TRUE(state->lineage.empty());
}

TEST_F(EpochProgressTest, GoesOnWhereTheCheckpointStands) {
  resume_after(4);
  EpochProgress progress(&config_);
  EXPECT_EQ(progress.next_epoch(), 2u);
  EXPECT_TRUE(progress.resumes(2));
  EXPECT_FALSE(progress.resumes(3));
  EXPECT_EQ(progress.state(std::nullopt)->lineage, (Lineage{{1, 4}}));
  start(progress, 2);
  EXPECT_EQ(progress.batches_left(), 6u);
  take(progress, 2);
  EXPECT_EQ(progress.state(std::nullopt)->lineage, (Lineage{{1, 6}}));
  EXPECT_EQ(progress.state(1)->lineage, (Lineage{{1, 5}}));
  // What was done before cannot be undone.
  EXPECT_EQ(progress.state(3).status().code(), StatusCode::invalid_argument);
}

TEST_F(EpochProgressTest, AnEpochIsResumedOnce) {
  resume_after(4);
  EpochProgress progress(&config_);
  start(progress, 2);
  take(progress, 1);
  start(progress, 2);
  EXPECT_FALSE(progress.resumes(2));
  EXPECT_EQ(progress.batches_left(), 10u);
  EXPECT_TRUE(progress.state(std::nullopt)->lineage.empty());
}

TEST_F(EpochProgressTest, StartingAnotherEpochGivesTheCheckpointUp) {
  resume_after(4);
  EpochProgress progress(&config_);
  start(progress, 7);
  EXPECT_EQ(progress.batches_left(), 10u);
  start(progress, 2);
  EXPECT_EQ(progress.batches_left(), 10u);
}

// Between the two steps of a start the consumer stands where it stood.
TEST_F(EpochProgressTest, AStartCountsWhenItHasBegun) {
  EpochProgress progress(&config_);
  start(progress, 0);
  take(progress, 3);
  progress.turn_to(5);
  EXPECT_EQ(progress.epoch(), 0u);
  EXPECT_EQ(progress.batches_left(), 7u);
  EXPECT_EQ(progress.state(std::nullopt)->lineage, (Lineage{{1, 3}}));
  progress.begin(5);
  EXPECT_EQ(progress.epoch(), 5u);
  EXPECT_EQ(progress.batches_left(), 10u);
}

TEST_F(EpochProgressTest, AStartThatIsRefusedLeavesTheCheckpointAsItWas) {
  EpochProgress fresh(&config_);
  fresh.turn_to(0);
  EXPECT_EQ(fresh.state(std::nullopt)->epoch, 0u);
  EXPECT_TRUE(fresh.state(std::nullopt)->lineage.empty());

  resume_after(4);
  EpochProgress resumed(&config_);
  resumed.turn_to(2);
  EXPECT_EQ(resumed.state(std::nullopt)->epoch, 2u);
  EXPECT_EQ(resumed.state(std::nullopt)->lineage, (Lineage{{1, 4}}));

  EpochProgress restarted(&config_);
  start(restarted, 2);
  take(restarted, 1);
  restarted.turn_to(3);
  EXPECT_EQ(restarted.state(std::nullopt)->epoch, 2u);
  EXPECT_EQ(restarted.state(std::nullopt)->lineage, (Lineage{{1, 5}}));
}

TEST_F(EpochProgressTest, ALookAtTheNextBatchEndsWithTakingItOrStartingAnew) {
  EpochProgress progress(&config_);
  start(progress, 0);
  EXPECT_FALSE(progress.peeked());
  progress.peek();
  EXPECT_TRUE(progress.peeked());
  EXPECT_EQ(progress.batches_left(), 10u);
  progress.take();
  EXPECT_FALSE(progress.peeked());
  progress.peek();
  progress.turn_to(1);
  EXPECT_FALSE(progress.peeked());
}

}  // namespace
}  // namespace penstock::loader
