#include "loader/ledger.h"

#include <gtest/gtest.h>

namespace penstock::loader {
namespace {

TEST(Ledger, SaysWhatIsHeldWhoeverReservedIt) {
  const auto budget = MemoryBudget::create(1000);
  Ledger ledger(budget);
  Reservation metadata;
  ASSERT_TRUE(ledger.reserve(MemoryTag::index, 100, &metadata).ok());
  ASSERT_TRUE(ledger.add(50, &metadata).ok());
  const auto blocks = ledger.budget().reserve(MemoryTag::index, 25);
  ASSERT_TRUE(blocks.ok());
  EXPECT_EQ(metadata.bytes(), 150u);
  EXPECT_EQ(ledger.of(MemoryTag::index), 175u);
  EXPECT_EQ(ledger.of(MemoryTag::obs), 0u);
  metadata.release();
  EXPECT_EQ(ledger.of(MemoryTag::index), 25u);
}

TEST(Ledger, WhatIsSetAsideCountsAndIsNotReserved) {
  const auto budget = MemoryBudget::create(1000);
  Ledger ledger(budget);
  Reservation slots;
  ASSERT_TRUE(ledger.reserve(MemoryTag::slots, 300, &slots).ok());
  ledger.set_aside(MemoryTag::dense, 600);
  const std::array<std::uint64_t, kMemoryTags> expected = {0, 0, 0, 0, 0, 300, 600};
  EXPECT_EQ(ledger.by_tag(), expected);
  EXPECT_EQ(budget->usage().used, 300u);
}

TEST(Ledger, ARefusalChangesNothing) {
  const auto budget = MemoryBudget::create(1000);
  Ledger ledger(budget);
  Reservation held;
  ASSERT_TRUE(ledger.reserve(MemoryTag::index, 900, &held).ok());
  EXPECT_EQ(ledger.add(101, &held).code(), StatusCode::budget);
  Reservation more;
  EXPECT_EQ(ledger.reserve(MemoryTag::window, 101, &more).code(), StatusCode::budget);
  EXPECT_EQ(held.bytes(), 900u);
  EXPECT_EQ(more.bytes(), 0u);
}

}  // namespace
}  // namespace penstock::loader
