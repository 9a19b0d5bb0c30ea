#include "penstock/memory_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "memory/reserve_for.h"

namespace penstock {
namespace {

using testing::HasSubstr;

TEST(MemoryBudget, CountsByTagAndGivesBack) {
  auto budget = MemoryBudget::create(1000);
  {
    auto a = budget->reserve(MemoryTag::window, 600);
    ASSERT_TRUE(a.ok());
    auto b = budget->reserve(MemoryTag::slots, 400);
    ASSERT_TRUE(b.ok());
    EXPECT_EQ(budget->usage().used, 1000u);
    EXPECT_FALSE(budget->try_reserve(MemoryTag::fetch, 1).has_value());
  }
  const auto usage = budget->usage();
  EXPECT_EQ(usage.used, 0u);
  EXPECT_EQ(usage.peak, 1000u);
  EXPECT_EQ(usage.peak_by_tag[static_cast<std::size_t>(MemoryTag::window)], 600u);
}

TEST(MemoryBudget, RefusalSaysWhoHoldsTheRest) {
  auto budget = MemoryBudget::create(256'000'000);
  auto held = budget->reserve(MemoryTag::window, 200'000'000);
  ASSERT_TRUE(held.ok());
  const auto refused = budget->reserve(MemoryTag::slots, 100'000'000);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::budget);
  EXPECT_THAT(refused.status().message(), HasSubstr("slots needs 100 MB, 56 MB of 256 MB are free"));
  EXPECT_THAT(refused.status().message(), HasSubstr("window 200 MB"));
}

TEST(MemoryBudget, ReservationsMoveAndResize) {
  auto budget = MemoryBudget::create(100);
  auto a = budget->reserve(MemoryTag::obs, 40);
  ASSERT_TRUE(a.ok());
  Reservation r = std::move(*a);
  EXPECT_TRUE(r.resize(100));
  EXPECT_FALSE(r.resize(101));
  EXPECT_EQ(r.bytes(), 100u);
  EXPECT_TRUE(r.resize(10));
  EXPECT_EQ(budget->usage().used, 10u);
  Reservation other;
  other = std::move(r);
  EXPECT_EQ(budget->usage().used, 10u);
  other.release();
  EXPECT_EQ(budget->usage().used, 0u);
}

TEST(MemoryBudget, OutlivesItsCreator) {
  Reservation r;
  {
    auto budget = MemoryBudget::create(100);
    auto made = budget->reserve(MemoryTag::obs, 40);
    ASSERT_TRUE(made.ok());
    r = std::move(*made);
  }
  EXPECT_TRUE(r.resize(100));
}

TEST(MemoryBudget, ThreadsNeverExceedTheLimit) {
  auto budget = MemoryBudget::create(1000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&budget] {
      for (int i = 0; i < 5000; ++i) {
        auto r = budget->try_reserve(MemoryTag::fetch, 300);
        if (r.has_value()) {
          EXPECT_LE(budget->usage().used, 1000u);
        }
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(budget->usage().used, 0u);
  EXPECT_LE(budget->usage().peak, 1000u);
}

TEST(MemoryBudget, SharesCountInTheWhole) {
  const auto whole = MemoryBudget::create(1000, 4);
  EXPECT_EQ(whole->share(), 250u);
  const auto one = whole->open_share("one"), two = whole->open_share("two");
  EXPECT_EQ(one->limit(), 250u);
  EXPECT_EQ(one->whole(), whole);
  {
    auto a = one->reserve(MemoryTag::window, 200), b = two->reserve(MemoryTag::slots, 250);
    ASSERT_TRUE(a.ok() && b.ok());
    EXPECT_EQ(one->usage().used, 200u);
    EXPECT_EQ(whole->usage().used, 450u);
    EXPECT_EQ(whole->usage().used_by_tag[static_cast<std::size_t>(MemoryTag::slots)], 250u);
    // Never more than its own, whatever is free in the whole.
    const auto refused = one->reserve(MemoryTag::index, 51);
    EXPECT_THAT(refused.status().message(), HasSubstr("index needs 51 B, 50 B of 250 B are free"));
    EXPECT_FALSE(one->crowded_out());
    EXPECT_EQ(whole->held_by(),
              "2 loaders: 200 B (one), 250 B (two; closed, its batches are still referenced)");
    EXPECT_TRUE(a->resize(250));
    EXPECT_FALSE(a->resize(251));
    EXPECT_EQ(whole->usage().used, 500u);
  }
  EXPECT_EQ(whole->usage().used, 0u);
  EXPECT_EQ(whole->usage().peak, 500u);
  EXPECT_EQ(whole->held_by(), "0 loaders");
}

TEST(MemoryBudget, AShareThatIsCrowdedOutSaysByWhom) {
  const auto whole = MemoryBudget::create(1000, 2);
  const auto three = whole->open_share("three");
  std::vector<std::shared_ptr<MemoryBudget>> others;
  std::vector<Reservation> held;
  for (const char* name : {"one", "two"}) {
    others.push_back(whole->open_share(name));
    auto r = others.back()->reserve(MemoryTag::window, 480);
    ASSERT_TRUE(r.ok());
    held.push_back(*std::move(r));
  }
  EXPECT_FALSE(three->crowded_out());
  const auto refused = three->reserve(MemoryTag::window, 100);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(three->crowded_out());
  EXPECT_THAT(refused.status().message(), HasSubstr("40 B of the shared 1 KB are free"));
  EXPECT_THAT(refused.status().message(), HasSubstr("2 loaders: 480 B (one), 480 B (two)"));
  EXPECT_EQ(three->usage().used, 0u);
  EXPECT_EQ(whole->usage().used, 960u);
  held.pop_back();
  EXPECT_TRUE(three->reserve(MemoryTag::window, 100).ok());
  held.clear();
}

TEST(MemoryBudget, ThreadsNeverExceedSharesNorTheWhole) {
  const auto whole = MemoryBudget::create(1000, 2);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&whole, t] {
      const auto own = whole->open_share(std::to_string(t));
      for (int i = 0; i < 3000; ++i) {
        auto r = own->try_reserve(MemoryTag::fetch, 300);
        if (i % 100 == 0) EXPECT_NE(whole->held_by(), "");
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(whole->usage().used, 0u);
  EXPECT_LE(whole->usage().peak, 1000u);
}

TEST(ParseBytes, UnitsOfPeople) {
  EXPECT_EQ(*parse_bytes("2GB"), 2'000'000'000u);
  EXPECT_EQ(*parse_bytes(" 256 mb "), 256'000'000u);
  EXPECT_EQ(*parse_bytes("1.5GiB"), 1'610'612'736u);
  EXPECT_EQ(*parse_bytes("1048576"), 1'048'576u);
  EXPECT_EQ(*parse_bytes("4k"), 4000u);
  for (const char* bad : {"", "GB", "-1GB", "2XB", "2 GBs", "nan", "1e30GB", "inf", "2i"}) {
    EXPECT_EQ(parse_bytes(bad).status().code(), StatusCode::invalid_argument) << bad;
  }
}

TEST(ReserveFor, ARefusalSaysWhatItWasFor) {
  auto budget = MemoryBudget::create(1000);
  const auto refused = reserve_for("a.h5ad: /var/i", *budget, MemoryTag::index, 2000);
  EXPECT_EQ(refused.status().code(), StatusCode::budget);
  EXPECT_THAT(refused.status().message(), testing::StartsWith("a.h5ad: /var/i: index needs"));
  auto held = reserve_for("a", *budget, MemoryTag::obs, 400);
  ASSERT_TRUE(held.ok());
  EXPECT_TRUE(resize_for("a", *budget, *held, MemoryTag::obs, 1000).ok());
  EXPECT_EQ(budget->usage().used, 1000u);
  EXPECT_THAT(resize_for("b", *budget, *held, MemoryTag::obs, 1001).message(),
              testing::StartsWith("b: obs needs"));
  EXPECT_EQ(held->bytes(), 1000u);
}

TEST(FormatBytes, ThreeDigits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1'234'567), "1.23 MB");
  EXPECT_EQ(format_bytes(256'000'000), "256 MB");
  EXPECT_EQ(format_bytes(999'999), "1 MB");
  EXPECT_EQ(format_count(1'234'567), "1,234,567");
  EXPECT_EQ(format_count(999), "999");
}

}  // namespace
}  // namespace penstock
