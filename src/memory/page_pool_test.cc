#include "memory/page_pool.h"

#include <gtest/gtest.h>

#include <set>

namespace penstock {
namespace {

PagePool make_pool(std::uint32_t pages) { return PagePool(*Slab::map(pages * 4096ull, false), 4096); }

TEST(PagePool, GivesEachPageOnce) {
  PagePool pool = make_pool(130);
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 130; ++i) seen.insert(pool.take(1, nullptr));
  EXPECT_EQ(seen.size(), 130u);
  EXPECT_EQ(*seen.rbegin(), 129u);
  EXPECT_EQ(pool.take(1, nullptr), PagePool::kNone);
  pool.give_back(77, 1);
  EXPECT_EQ(pool.take(1, nullptr), 77u);
}

TEST(PagePool, RunsAreContiguous) {
  PagePool pool = make_pool(10);
  ASSERT_EQ(pool.take(4, nullptr), 0u);
  ASSERT_EQ(pool.take(4, nullptr), 4u);
  EXPECT_EQ(pool.take(4, nullptr), PagePool::kNone);
  pool.give_back(2, 2);
  EXPECT_EQ(pool.take(3, nullptr), PagePool::kNone) << "4 pages are free, but not 3 in a row";
  EXPECT_EQ(pool.take(2, nullptr), 2u);
}

TEST(PagePool, PledgesKeepOthersOut) {
  PagePool pool = make_pool(10);
  ASSERT_TRUE(pool.pledge(8));
  EXPECT_FALSE(pool.pledge(3));
  EXPECT_NE(pool.take(1, nullptr), PagePool::kNone);
  EXPECT_NE(pool.take(1, nullptr), PagePool::kNone);
  EXPECT_EQ(pool.take(1, nullptr), PagePool::kNone) << "the other 8 are pledged";
  std::uint32_t mine = 8;
  for (int i = 0; i < 8; ++i) EXPECT_NE(pool.take(1, &mine), PagePool::kNone);
  EXPECT_EQ(mine, 0u);
  EXPECT_EQ(pool.take(1, &mine), PagePool::kNone);
  EXPECT_EQ(pool.free_pages(), 0u);
  pool.reset();
  EXPECT_EQ(pool.free_pages(), 10u);
}

}  // namespace
}  // namespace penstock
