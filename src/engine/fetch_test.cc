#include "engine/fetch.h"

#include <gtest/gtest.h>

#include "loader/testing/fake_dataset.h"

namespace penstock::loader {
namespace {

class FetchRingTest : public ::testing::Test {
 protected:
  // Prepares and submits a block of `bytes` in one request per 100 bytes.
  bool add(ByteCount bytes) {
    if (!prepared_) {
      BlockTask* task = ring_.prepare();
      if (task == nullptr) return false;
      for (ByteCount at = 0; at < bytes; at += 100) {
        task->requests.add(&file_, 1'000'000 * at, std::min<ByteCount>(100, bytes - at));
      }
      prepared_ = true;
    }
    if (!ring_.submit()) return false;
    prepared_ = false;
    return true;
  }

  testing::FakeFile file_{"memory"};
  FetchRing ring_{*Slab::map(1000, false), 4};
  bool prepared_ = false;
};

TEST_F(FetchRingTest, ReadsTasksInOrderAndEachRequestOnce) {
  ASSERT_TRUE(add(250));
  ASSERT_TRUE(add(100));
  std::vector<std::byte*> into;
  ReadJob job;
  while (ring_.next_read(&job, false)) {
    into.push_back(job.into);
    ring_.read_done(job, {});
  }
  ASSERT_EQ(into.size(), 4u);
  EXPECT_EQ(into[1] - into[0], 100);
  EXPECT_EQ(into[3] - into[0], 250);
  EXPECT_NE(ring_.next_to_decode(), nullptr);
}

TEST_F(FetchRingTest, NobodyReadsForATaskThatHasNoBytesYet) {
  // Workers read a ring's worth of blocks themselves; then the arena is full and a task waits, prepared.
  for (int i = 0; i < 9; ++i) {
    ASSERT_TRUE(add(100));
    BlockTask* task = ring_.next_unread();
    ASSERT_NE(task, nullptr);
    ring_.issue_all(task);
    ring_.start_decode();
    ring_.release(task);
  }
  ASSERT_TRUE(add(600));
  EXPECT_FALSE(add(600)) << "1,000 bytes hold one of them";
  ReadJob job;
  int reads = 0;
  while (ring_.next_read(&job, false)) {
    EXPECT_EQ(job.task, ring_.next_unread() != nullptr ? ring_.next_unread() : job.task);
    EXPECT_EQ(job.task->bytes, 600u);
    ++reads;
  }
  EXPECT_EQ(reads, 6) << "the submitted task's reads and no others";
}

TEST_F(FetchRingTest, BytesWrapAndNeverOverlap) {
  std::uint64_t random = 7;
  std::vector<BlockTask*> decoding;
  std::vector<std::pair<ByteOffset, ByteOffset>> used;
  for (int step = 0; step < 20000; ++step) {
    random = mix64(random + 1);
    if (random % 2 == 0) {
      add(1 + random / 2 % 499);
      ReadJob job;
      while (ring_.next_read(&job, false)) {
        ASSERT_GE(job.into, ring_.bytes(*job.task));
        ASSERT_LE(job.task->at + job.task->bytes, 1000u);
        ring_.read_done(job, {});
      }
    } else if (BlockTask* task = ring_.next_to_decode()) {
      ring_.start_decode();
      decoding.push_back(task);
    } else if (!decoding.empty()) {
      const std::size_t i = random / 2 % decoding.size();  // workers finish in any order
      ring_.release(decoding[i]);
      decoding.erase(decoding.begin() + static_cast<std::ptrdiff_t>(i));
    }
    used.clear();
    for (const BlockTask* task : decoding) used.emplace_back(task->at, task->at + task->bytes);
    std::sort(used.begin(), used.end());
    for (std::size_t i = 1; i < used.size(); ++i) ASSERT_LE(used[i - 1].second, used[i].first);
  }
}

TEST_F(FetchRingTest, OnlyBegunTasksAreFinishedWhenReadersRest) {
  ASSERT_TRUE(add(200));
  ASSERT_TRUE(add(200));
  ReadJob job;
  EXPECT_FALSE(ring_.next_read(&job, true));
  ASSERT_TRUE(ring_.next_read(&job, false));
  EXPECT_EQ(ring_.next_unread(), nullptr) << "somebody has begun it";
  EXPECT_TRUE(ring_.next_read(&job, true));
  EXPECT_FALSE(ring_.next_read(&job, true));
}

}  // namespace
}  // namespace penstock::loader
