#include "memory/reserved_buffer.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(ReservedBuffer, HoldsWhatItReservedAndNoMore) {
  const auto budget = MemoryBudget::create(1000);
  {
    ReservedBuffer buffer("a page", budget.get(), MemoryTag::scratch);
    EXPECT_EQ(budget->usage().used, 0u);
    ASSERT_TRUE(buffer.grow_to(600).ok());
    EXPECT_EQ(budget->usage().used, 600u);
    EXPECT_EQ(buffer.bytes().size(), 600u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.bytes().data()) % 64, 0u);
    // The old bytes are gone before the new ones come: both would not fit.
    ASSERT_TRUE(buffer.grow_to(900).ok());
    EXPECT_EQ(budget->usage().used, 900u);
    ASSERT_TRUE(buffer.grow_to(10).ok());
    EXPECT_EQ(buffer.size(), 900u);

    const Status refused = buffer.grow_to(1001);
    EXPECT_EQ(refused.code(), StatusCode::budget);
    EXPECT_EQ(refused.message().find("a page: "), 0u) << refused.message();
    EXPECT_EQ(buffer.size(), 0u);
    ASSERT_TRUE(buffer.grow_to(5).ok());
    EXPECT_EQ(buffer.first(5).size(), 5u);
    buffer.clear();
    EXPECT_EQ(budget->usage().used, 0u);
  }
  EXPECT_EQ(budget->usage().used, 0u);
}

TEST(ReservedBuffer, WithoutABudgetNothingIsCounted) {
  ReservedBuffer buffer("an array", nullptr, MemoryTag::scratch);
  ASSERT_TRUE(buffer.grow_to(100).ok());
  EXPECT_EQ(buffer.bytes().size(), 100u);
}

}  // namespace
}  // namespace penstock
