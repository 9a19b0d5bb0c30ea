#include "source/request.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "io/testing/memory_file.h"

namespace penstock {
namespace {

using testing::MemoryFile;

TEST(RequestListTest, JoinsAdjacentRangesAsTheyCome) {
  const MemoryFile file({});
  RequestList list;
  list.add(&file, 0, 10);
  list.add(&file, 10, 10);
  list.add(&file, 20, 0);
  list.add(&file, 15, 3);
  ASSERT_EQ(list.requests().size(), 1u);
  EXPECT_EQ(list.requests()[0].end(), 20u);
  list.add(&file, 21, 1);
  EXPECT_EQ(list.requests().size(), 2u);
  EXPECT_EQ(list.total_bytes(), 21u);
}

TEST(RequestListTest, CoalesceRespectsGapAndSizeButJoinsOverlaps) {
  const MemoryFile file({}), other({});
  RequestList list;
  list.add(&file, 5000, 100);
  list.add(&other, 0, 7);
  list.add(&file, 0, 100);
  list.add(&file, 110, 100);
  list.add(&file, 1000, 3000);
  list.add(&file, 1500, 3000);
  list.coalesce(16, 1000);
  std::vector<std::pair<ByteOffset, ByteCount>> of_file;
  for (const auto& r : list.requests()) {
    if (r.file == &file) of_file.emplace_back(r.offset, r.bytes);
  }
  EXPECT_EQ(of_file, (std::vector<std::pair<ByteOffset, ByteCount>>{{0, 210}, {1000, 3500}, {5000, 100}}));
  EXPECT_EQ(list.requests().size(), 4u);
}

TEST(FetchedTest, FindsEveryRangeThatWasAskedForInAnyOrder) {
  std::vector<std::byte> bytes(100000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + (i >> 8));
  const MemoryFile a(bytes, "a"), b(bytes, "b");
  std::mt19937_64 random(3);
  for (int round = 0; round < 50; ++round) {
    RequestList list;
    std::vector<ReadRequest> asked;
    for (int i = 0; i < 60; ++i) {
      const ByteOffset offset = random() % 90000;
      asked.push_back({random() % 2 ? &a : &b, offset, 1 + random() % 3000});
      list.add(asked.back().file, asked.back().offset, asked.back().bytes);
    }
    list.coalesce(random() % 2000, 8000);
    std::vector<std::byte> data(list.total_bytes());
    std::size_t at = 0;
    for (const auto& r : list.requests()) {
      ASSERT_TRUE(r.file->read_at(r.offset, std::span(data).subspan(at, r.bytes)).ok());
      at += r.bytes;
    }
    const Fetched fetched(list.requests(), data.data());
    for (const auto& r : asked) {
      const auto found = fetched.find(r.file, r.offset, r.bytes);
      ASSERT_EQ(found.size(), r.bytes);
      ASSERT_EQ(std::memcmp(found.data(), bytes.data() + r.offset, r.bytes), 0);
    }
    EXPECT_TRUE(fetched.find(&a, 99999, 10).empty());
    EXPECT_TRUE(fetched.find(nullptr, 0, 1).empty());
  }
  EXPECT_TRUE(Fetched({}, nullptr).find(&a, 0, 1).empty());
}

}  // namespace
}  // namespace penstock
