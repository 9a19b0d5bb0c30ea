#include "engine/ready_ring.h"

#include <gtest/gtest.h>

namespace penstock::loader {
namespace {

ReadyBatch numbered(std::uint64_t number) {
  ReadyBatch ready;
  ready.batch.emplace();
  ready.batch->number = number;
  return ready;
}

TEST(ReadyRing, BatchesComeInOrderWhateverOrderTheyAreBuiltIn) {
  ReadyRing ring(4, 2);
  ring.begin(0);
  for (std::uint64_t s : {0, 1, 2}) EXPECT_EQ(ring.take(), s);
  EXPECT_FALSE(ring.put(2, numbered(2)));
  EXPECT_FALSE(ring.put(1, numbered(1)));
  EXPECT_EQ(ring.front(), nullptr);
  EXPECT_EQ(ring.waiting(), 2U);
  EXPECT_EQ(ring.building(), 1U);
  EXPECT_TRUE(ring.put(0, numbered(0)));  // the one that is waited for
  for (std::uint64_t s : {0, 1, 2}) {
    ASSERT_NE(ring.front(), nullptr);
    EXPECT_EQ(ring.pop().batch->number, s);
  }
  EXPECT_EQ(ring.front(), nullptr);
  EXPECT_TRUE(ring.none_under_way());
}

TEST(ReadyRing, IsFullOfBatchesTakenNotOnlyOfThoseBuilt) {
  ReadyRing ring(3, 2);
  ring.begin(7);
  ring.take();
  EXPECT_FALSE(ring.has_enough());
  ring.take();
  EXPECT_TRUE(ring.has_enough());
  EXPECT_FALSE(ring.full());
  ring.take();
  EXPECT_TRUE(ring.full());
  EXPECT_FALSE(ring.none_under_way());
  ring.put(7, numbered(7));
  EXPECT_TRUE(ring.full());
  ring.pop();
  EXPECT_FALSE(ring.full());
  EXPECT_EQ(ring.next_to_return(), 8U);
  EXPECT_EQ(ring.next_to_build(), 10U);
}

TEST(ReadyRing, ABatchThatFailedIsThereWithItsError) {
  ReadyRing ring(2, 1);
  ring.begin(0);
  ring.take();
  ReadyBatch failed;
  failed.error = Status::io_error("gone");
  EXPECT_TRUE(ring.put(0, std::move(failed)));
  ASSERT_NE(ring.front(), nullptr);
  EXPECT_EQ(ring.front()->error.message(), "gone");
  EXPECT_EQ(ring.waiting(), 0U);  // it holds no slot
}

TEST(ReadyRing, BeginsAnewAfterItWasCleared) {
  ReadyRing ring(3, 2);
  ring.begin(0);
  ring.put(ring.take(), numbered(0));
  EXPECT_EQ(ring.clear().size(), 3U);
  EXPECT_EQ(ring.front(), nullptr);
  EXPECT_EQ(ring.waiting(), 0U);
  ring.begin(5);
  EXPECT_EQ(ring.next_to_return(), 5U);
  EXPECT_TRUE(ring.put(ring.take(), numbered(5)));
  EXPECT_EQ(ring.pop().batch->number, 5U);
}

}  // namespace
}  // namespace penstock::loader
