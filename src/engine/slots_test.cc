#include "engine/slots.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

namespace penstock::loader {
namespace {

std::shared_ptr<SlotPool> pool(const std::shared_ptr<MemoryBudget>& budget, ByteCount bytes,
                               std::uint64_t slots, ByteCount granule = 4096) {
  return *SlotPool::create(*budget->reserve(MemoryTag::slots, bytes), slots, bytes, granule);
}

TEST(SlotPool, GivesMemoryWhileThereIsSome) {
  auto budget = MemoryBudget::create(1 << 20);
  auto slots = pool(budget, 8 * 4096, 8);
  std::vector<std::shared_ptr<std::byte>> held;
  for (int i = 0; i < 4; ++i) {
    held.push_back(*slots->acquire(2 * 4096));
    ASSERT_NE(held.back(), nullptr);
  }
  EXPECT_EQ(*slots->acquire(1), nullptr);
  EXPECT_EQ(slots->counts().held, 4u);
  held.pop_back();
  EXPECT_NE(*slots->acquire(2 * 4096), nullptr);
}

TEST(SlotPool, WithoutAddressSpaceForFourBatchesThereIsNone) {
  auto budget = MemoryBudget::create(ByteCount{1} << 62);
  const auto slots =
      SlotPool::create(*budget->reserve(MemoryTag::slots, 1 << 20), 8, ByteCount{1} << 45, 4096);
  ASSERT_FALSE(slots.ok());
  EXPECT_EQ(slots.status().code(), StatusCode::budget);
  EXPECT_NE(slots.status().message().find("of the 4 batches that a loader keeps at once: the system refused"),
            std::string::npos)
      << slots.status().message();
  EXPECT_EQ(budget->usage().used, 0u);
}

TEST(SlotPool, ABatchIsThereInAForkedChild) {
  auto budget = MemoryBudget::create(1 << 20);
  auto slots = pool(budget, 8 * 4096, 8);
  const std::shared_ptr<std::byte> batch = *slots->acquire(4096);
  *batch = std::byte{42};
  const pid_t child = fork();
  if (child == 0) _exit(std::to_integer<int>(*batch));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

TEST(SlotPool, ALargeBatchLeavesNothingBehind) {
  auto budget = MemoryBudget::create(64 << 20);
  auto slots = pool(budget, 4 << 20, 8);
  { const auto large = *slots->acquire(4 << 20); }
  std::vector<std::shared_ptr<std::byte>> held;
  for (int i = 0; i < 8; ++i) {
    held.push_back(*slots->acquire(100'000));
    ASSERT_NE(held.back(), nullptr) << i;
  }
  held.clear();
  EXPECT_NE(*slots->acquire(4 << 20), nullptr) << "and small ones make room for a large one";
}

TEST(SlotPool, TellsWhenMemoryComesBack) {
  auto budget = MemoryBudget::create(1 << 20);
  auto slots = pool(budget, 4096, 1);
  int told = 0;
  slots->on_release([&told] { ++told; });
  auto held = *slots->acquire(10);
  EXPECT_EQ(told, 0);
  held.reset();
  EXPECT_EQ(told, 1);
}

TEST(SlotPool, KeepsHeldMemoryAndItsReservationAfterClose) {
  auto budget = MemoryBudget::create(1 << 20);
  auto slots = pool(budget, 16 * 4096, 4);
  auto held = *slots->acquire(4096);
  slots->close();
  held.get()[0] = std::byte{1};
  EXPECT_EQ(budget->usage().used, 4096u);
  held.reset();
  EXPECT_EQ(budget->usage().used, 0u);
}

}  // namespace
}  // namespace penstock::loader
