#include "store/chunk_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace penstock::store {
namespace {

using Chunks = std::vector<ChunkLocation>;

void expect_same(const ChunkIndex& index, const Chunks& plain) {
  const auto same = [](const ChunkLocation& a, const ChunkLocation& b) {
    return a.present == b.present &&
           (!a.present || (a.offset == b.offset && a.stored == b.stored && a.mask == b.mask));
  };
  std::uint64_t present = 0;
  ByteCount largest = 0;
  ChunkIndex::Cursor forwards(index), anyhow(index);
  std::mt19937_64 random(7);
  for (std::uint64_t i = 0; i < plain.size(); ++i) {
    ASSERT_TRUE(same(index.find(i), plain[i])) << i;
    ASSERT_TRUE(same(forwards.at(i), plain[i])) << i;
    const std::uint64_t other = random() % plain.size();
    ASSERT_TRUE(same(anyhow.at(other), plain[other])) << other;
    present += plain[i].present;
    if (plain[i].present) largest = std::max(largest, plain[i].stored);
  }
  EXPECT_EQ(index.present(), present);
  EXPECT_EQ(index.empty(), present == 0);
  EXPECT_EQ(index.largest_stored(), largest);
}

ChunkIndex build(const Chunks& plain, const std::vector<std::uint64_t>& order, MemoryBudget& budget) {
  ChunkIndexBuilder builder("a table", plain.size(), budget);
  for (const std::uint64_t i : order) {
    if (plain[i].present) EXPECT_TRUE(builder.add(i, plain[i]).ok());
  }
  auto index = builder.finish();
  EXPECT_TRUE(index.ok());
  return std::move(index).value();
}

std::vector<std::uint64_t> ascending(std::size_t n) {
  std::vector<std::uint64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

// A file as its writer left it: chunks of about `size` bytes, some missing, some elsewhere, some unfiltered.
Chunks random_chunks(std::mt19937_64& random, std::size_t n) {
  const auto share = [&] { return static_cast<double>(random() % 1000) / 1000; };
  const double missing = random() % 3 == 0 ? share() : 0,
               elsewhere = random() % 2 == 0 ? share() * share() : 0,
               masked = random() % 4 == 0 ? share() : 0;
  const std::uint64_t size = random() % 8 == 0 ? 0xffffffff : 1 + random() % 200000;
  const std::uint64_t gap = random() % 2 == 0 ? 0 : random() % 100000;
  Chunks chunks(n);
  ByteOffset end = random() % 5000;
  for (auto& c : chunks) {
    if (share() < missing) continue;
    c.present = true;
    c.offset = share() < elsewhere ? random() >> (random() % 2 == 0 ? 1 : 24) : end + gap;
    c.stored = 1 + random() % size;
    if (share() < masked) c.mask = static_cast<std::uint32_t>(random() | 1);
    end = c.offset + c.stored;
  }
  return chunks;
}

TEST(ChunkIndexTest, EqualsThePlainOneWhateverTheFile) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 300; ++round) {
    const Chunks plain = random_chunks(random, random() % 700);
    const auto budget = MemoryBudget::create(16 << 20);
    {
      const ChunkIndex index = build(plain, ascending(plain.size()), *budget);
      expect_same(index, plain);
      EXPECT_EQ(budget->usage().used, index.bytes());
    }
    auto order = ascending(plain.size());
    if (round % 2 == 0) {
      std::shuffle(order.begin(), order.end(), random);
    } else if (!order.empty()) {
      std::rotate(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(random() % order.size()),
                  order.end());
    }
    {
      const ChunkIndex index = build(plain, order, *budget);
      expect_same(index, plain);
      EXPECT_EQ(budget->usage().used, index.bytes());
    }
    EXPECT_EQ(budget->usage().used, 0u);
  }
}

TEST(ChunkIndexTest, MoreThanABlockOfRecords) {
  std::mt19937_64 random(5);
  Chunks plain(200000);
  for (auto& c : plain) c = {.offset = random() >> 2, .stored = 1 + random() % 0xffffffff, .present = true};
  const auto budget = MemoryBudget::create(16 << 20);
  const ChunkIndex index = build(plain, ascending(plain.size()), *budget);
  expect_same(index, plain);
  EXPECT_EQ(budget->usage().used, index.bytes());
  EXPECT_LT(index.bytes(), plain.size() * 13);
}

// Tahoe's geometry: 12 cells a chunk of data and of indices, of about 20 KB, sizes spread by a few percent,
// and a node of the B-tree between them now and then. The goal is 1 byte a cell for both arrays and the first
// rows of chunks (4.125 bytes a chunk).
TEST(ChunkIndexTest, TakesLittleWhereChunksLieInOrder) {
  std::mt19937_64 random(11);
  std::normal_distribution<double> spread(20000, 900);
  Chunks plain(100000);
  ByteOffset end = 2048;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    if (i % 48 == 0) end += 2096;
    plain[i] = {.offset = end, .stored = static_cast<ByteCount>(spread(random)), .present = true};
    end += plain[i].stored;
  }
  const auto budget = MemoryBudget::create(16 << 20);
  const ChunkIndex index = build(plain, ascending(plain.size()), *budget);
  const double a_chunk = static_cast<double>(index.bytes()) / static_cast<double>(plain.size());
  EXPECT_LT(a_chunk, 2.3);
  EXPECT_LT((2 * a_chunk + 4.125) / 12, 0.75) << "bytes a cell";
  EXPECT_LT(budget->usage().peak, 2 * index.bytes() + (1 << 20));
}

TEST(ChunkIndexTest, RefusesWhatComesTwice) {
  const auto budget = MemoryBudget::create(16 << 20);
  const ChunkLocation chunk{.offset = 96, .stored = 7, .present = true};
  for (const std::uint64_t again : {std::uint64_t{70}, std::uint64_t{3}}) {
    ChunkIndexBuilder builder("a table", 100, *budget);
    ASSERT_TRUE(builder.add(3, chunk).ok());
    ASSERT_TRUE(builder.add(70, chunk).ok());
    const Status status = builder.add(again, chunk);
    EXPECT_EQ(status.code(), StatusCode::corrupt);
    EXPECT_NE(status.message().find("at byte 0x60: the index has it twice"), std::string::npos);
  }
  EXPECT_EQ(budget->usage().used, 0u);
}

TEST(ChunkIndexTest, IsBoundedByItsBudget) {
  const auto small = MemoryBudget::create(100'000);
  std::mt19937_64 random(1);
  ChunkIndexBuilder builder("a table of 100,000 chunks", 100'000, *small);
  Status status;
  for (std::uint64_t i = 0; i < 100'000 && status.ok(); ++i) {
    status = builder.add(i, {.offset = random() >> 1, .stored = 1 + random() % 0xffffffff, .present = true});
    ASSERT_LE(small->usage().used, small->limit());
  }
  EXPECT_EQ(status.code(), StatusCode::budget);
  EXPECT_NE(status.message().find("a table of 100,000 chunks: index needs"), std::string::npos)
      << status.message();
  // One that claims more chunks than there is memory for their groups, before anything is taken.
  ChunkIndexBuilder liar("a table", std::uint64_t{1} << 62, *small);
  EXPECT_EQ(liar.add(0, {.offset = 1, .stored = 1, .present = true}).code(), StatusCode::budget);
}

}  // namespace
}  // namespace penstock::store
