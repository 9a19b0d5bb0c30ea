#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

#include "base/check.h"
#include "io/testing/fault_file.h"
#include "io/testing/memory_file.h"
#include "store/store.h"
#include "store/testing/count_allocations.h"

namespace penstock::store {
namespace {

using testing::FaultFile;
using testing::MemoryFile;

struct Shape {
  std::vector<std::uint64_t> shape, chunk;  // no chunk = contiguous
};

// An array of u32 0, 1, 2, ... in C order, laid out by the test.
class TestArray final : public Array {
 public:
  TestArray(const Shape& s, bool deflate, bool shuffle, bool big_endian,
            std::vector<std::uint64_t> missing = {}, std::vector<std::uint64_t> masked = {}) {
    dtype_ = {.cls = TypeClass::number,
              .number = NumericType::u32,
              .size = 4,
              .big_endian = big_endian,
              .space_padded = false,
              .description = "uint32",
              .members = {}};
    shape_ = s.shape;
    size_ = std::accumulate(shape_.begin(), shape_.end(), std::uint64_t{1}, std::multiplies<>());
    std::vector<std::byte> bytes(16);
    if (s.chunk.empty()) {
      for (std::uint64_t i = 0; i < size_; ++i) push(bytes, static_cast<std::uint32_t>(i));
      allocated_ = true;
      contiguous_offset_ = 16;
      stored_bytes_ = size_ * 4;
    } else {
      chunked_ = true;
      chunk_shape_ = s.chunk;
      chunk_elements_ =
          std::accumulate(s.chunk.begin(), s.chunk.end(), std::uint64_t{1}, std::multiplies<>());
      std::vector<FilterSpec> filters;
      if (shuffle) filters.push_back({.id = FilterId::shuffle, .params = {4}});
      if (deflate) filters.push_back({.id = FilterId::deflate, .params = {4}});
      auto pipeline = FilterPipeline::create(filters, 4);
      PENSTOCK_CHECK(pipeline.ok());
      filters_ = *pipeline;
      n_chunks_ = 1;
      for (std::size_t d = 0; d < shape_.size(); ++d) n_chunks_ *= (shape_[d] + s.chunk[d] - 1) / s.chunk[d];
      const auto index_budget = MemoryBudget::create(64 << 20);
      ChunkIndexBuilder index("a table of chunks", n_chunks_, *index_budget);
      const std::uint32_t fill = 0xabcd;
      fill_.resize(4);
      std::memcpy(fill_.data(), &fill, 4);
      for (std::uint64_t c = 0; c < n_chunks_; ++c) {
        if (std::find(missing.begin(), missing.end(), c) != missing.end()) continue;
        const bool mask = std::find(masked.begin(), masked.end(), c) != masked.end();
        auto stored = encode(chunk_values(c), shuffle && !mask, deflate && !mask);
        PENSTOCK_CHECK(index
                           .add(c, {.offset = bytes.size(),
                                    .stored = stored.size(),
                                    .mask = mask ? 3u : 0u,
                                    .present = true})
                           .ok());
        stored_bytes_ += stored.size();
        bytes.insert(bytes.end(), stored.begin(), stored.end());
      }
      index_ = *index.finish();
    }
    faults = std::make_shared<FaultFile>(std::make_shared<MemoryFile>(std::move(bytes), "f"));
    file_ = faults;
    budget_ = MemoryBudget::create(64 << 20);
  }

  const std::string& path() const override { return path_; }
  const std::string& file_label() const override { return file_->label(); }
  Result<std::vector<std::string>> attribute_names() const override { return std::vector<std::string>(); }
  Result<std::optional<Attribute>> attribute(const std::string&) const override {
    return std::optional<Attribute>();
  }
  Result<std::shared_ptr<const Node>> follow(const Attribute&) const override {
    return Status::not_found("none");
  }
  Result<std::vector<std::string>> read_strings(std::uint64_t, std::uint64_t) const override {
    return Status::invalid_argument("no strings");
  }

  // The value at a position in C order, as a reader must see it.
  std::uint32_t want(std::uint64_t i, const std::vector<std::uint64_t>& missing) const {
    std::uint64_t rest = i, number = 0, stride = 1;
    for (std::size_t d = shape_.size(); d-- > 0;) {
      const std::uint64_t at = rest % shape_[d];
      rest /= shape_[d];
      number += at / chunk_shape_[d] * stride;
      stride *= (shape_[d] + chunk_shape_[d] - 1) / chunk_shape_[d];
    }
    return std::find(missing.begin(), missing.end(), number) != missing.end() ? 0xabcd
                                                                              : static_cast<std::uint32_t>(i);
  }

  void break_type() { dtype_.cls = TypeClass::other; }
  std::shared_ptr<MemoryBudget>& budget() { return budget_; }

  std::shared_ptr<FaultFile> faults;

 private:
  void push(std::vector<std::byte>& bytes, std::uint32_t v) const {
    if (dtype_.big_endian) v = __builtin_bswap32(v);
    const auto* p = reinterpret_cast<const std::byte*>(&v);
    bytes.insert(bytes.end(), p, p + 4);
  }
  std::vector<std::byte> chunk_values(std::uint64_t number) const {
    const std::size_t rank = shape_.size();
    std::vector<std::uint64_t> origin(rank);
    for (std::size_t d = rank; d-- > 0;) {
      const std::uint64_t grid = (shape_[d] + chunk_shape_[d] - 1) / chunk_shape_[d];
      origin[d] = number % grid * chunk_shape_[d];
      number /= grid;
    }
    std::vector<std::byte> values;
    for (std::uint64_t e = 0; e < chunk_elements_; ++e) {
      std::uint64_t rest = e, at = 0, stride = 1;
      bool inside = true;
      for (std::size_t d = rank; d-- > 0;) {
        const std::uint64_t x = origin[d] + rest % chunk_shape_[d];
        rest /= chunk_shape_[d];
        inside = inside && x < shape_[d];
        at += x * stride;
        stride *= shape_[d];
      }
      push(values, inside ? static_cast<std::uint32_t>(at) : 0xdeadbeef);
    }
    return values;
  }
  static std::vector<std::byte> encode(std::vector<std::byte> raw, bool shuffle, bool deflate) {
    if (shuffle) {
      std::vector<std::byte> planes(raw.size());
      for (std::size_t i = 0; i < raw.size(); ++i) planes[i % 4 * (raw.size() / 4) + i / 4] = raw[i];
      raw = std::move(planes);
    }
    if (!deflate) return raw;
    uLongf size = ::compressBound(raw.size());
    std::vector<std::byte> out(size);
    ::compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(raw.data()),
               raw.size());
    out.resize(size);
    return out;
  }

  std::string path_ = "/X/data";
};

// Fetches what `list` asks for.
std::vector<std::byte> fetch(RequestList& list) {
  list.coalesce(kCoalesceGap, kCoalesceMax);
  std::vector<std::byte> data(list.total_bytes());
  std::size_t at = 0;
  for (const auto& r : list.requests()) {
    EXPECT_TRUE(r.file->read_at(r.offset, std::span(data).subspan(at, r.bytes)).ok());
    at += r.bytes;
  }
  return data;
}

struct Config {
  bool deflate, shuffle, big_endian;
};
class ArrayTest : public ::testing::TestWithParam<Config> {};
INSTANTIATE_TEST_SUITE_P(Pipelines, ArrayTest,
                         ::testing::Values(Config{false, false, false}, Config{true, false, false},
                                           Config{true, true, false}, Config{true, true, true},
                                           Config{false, true, false}, Config{true, false, true}));

TEST_P(ArrayTest, EveryRangeThroughTheDataPathWithoutAllocating) {
  const auto [deflate, shuffle, big] = GetParam();
  const std::vector<std::uint64_t> missing = {3}, masked = {5};
  const TestArray array({{1003}, {100}}, deflate, shuffle, big, missing, masked);
  std::mt19937_64 random(5);
  CodecContext codec;
  RequestList list;
  std::vector<std::byte> scratch(array.range_scratch_bytes());
  std::vector<std::uint32_t> out(1003);
  for (int warm = 0; warm < 400; ++warm) {
    const std::uint64_t first = random() % 1003, count = random() % (1004 - first);
    list.clear();
    array.add_requests(first, count, Heads::whole, list);
    ByteCount bytes = 0;
    for (std::uint64_t c = first / 100; count > 0 && c <= (first + count - 1) / 100; ++c) {
      bytes += array.chunk(c).stored;
    }
    auto data = fetch(list);
    EXPECT_GE(data.size(), bytes);
    const Fetched fetched(list.requests(), data.data());
    const auto target = std::as_writable_bytes(std::span(out).first(count));
    const std::size_t before = testing::allocations();
    const Status status = array.decode_range(first, count, fetched, scratch, codec, target);
    const std::size_t after = testing::allocations();
    ASSERT_TRUE(status.ok()) << status.message();
    if (warm > 200) ASSERT_EQ(after, before) << "the data path allocated";
    for (std::uint64_t i = 0; i < count; ++i)
      ASSERT_EQ(out[i], array.want(first + i, missing)) << first << "+" << i;

    std::vector<std::uint32_t> again(count);
    const Status read = array.read_range(first, count, std::as_writable_bytes(std::span(again)));
    ASSERT_TRUE(read.ok()) << read.message();
    ASSERT_TRUE(std::equal(again.begin(), again.end(), out.begin()));
  }
}

TEST_P(ArrayTest, WholeChunksAndHeads) {
  const auto [deflate, shuffle, big] = GetParam();
  const TestArray array({{1003}, {100}}, deflate, shuffle, big, {3}, {5});
  CodecContext codec;
  std::vector<std::byte> step(array.step_bytes());
  RequestList list;
  array.add_requests(0, 1003, Heads::whole, list);
  const auto data = fetch(list);
  const Fetched fetched(list.requests(), data.data());
  for (std::uint64_t c = 0; c < array.n_chunks(); ++c) {
    for (const std::size_t n : {1u, 7u, 29u, 30u, 31u, 99u, 100u}) {
      std::vector<std::uint32_t> out(n);
      const Status status =
          array.decode_chunk(c, fetched, std::as_writable_bytes(std::span(out)), step, codec, nullptr);
      ASSERT_TRUE(status.ok()) << status.message();
      for (std::uint64_t i = 0; i < n && c * 100 + i < 1003; ++i) {
        ASSERT_EQ(out[i], array.want(c * 100 + i, {3})) << c << " " << n;
      }
    }
  }
}

// Only as much of the last chunk is read as its beginning takes, where a beginning can be decoded.
TEST_P(ArrayTest, HeadsAreReadInPart) {
  const auto [deflate, shuffle, big] = GetParam();
  const TestArray array({{100'000}, {50'000}}, deflate, shuffle, big);
  CodecContext codec;
  std::vector<std::byte> step(array.step_bytes());
  const ByteCount stored = array.chunk(1).stored;
  for (const std::size_t n : {1u, 100u, 1000u, 14'000u, 15'000u, 49'999u, 50'000u}) {
    RequestList list;
    array.add_requests(50'000, n, Heads::estimated, list);
    ASSERT_EQ(list.requests().size(), 1u);
    const ByteCount asked = list.requests()[0].bytes;
    const bool in_part = asked < stored;
    const bool head = !shuffle && (!deflate || n * 4 < array.chunk_bytes() / 10 * 3) && n < 50'000;
    EXPECT_EQ(in_part, head) << n;
    if (head && !deflate) EXPECT_EQ(asked, n * 4);
    const auto data = fetch(list);
    std::vector<std::uint32_t> out(n);
    bool too_short = false;
    const auto decode = [&](ByteCount of) {
      const ReadRequest cut{list.requests()[0].file, list.requests()[0].offset, of};
      return array.decode_chunk(1, Fetched({&cut, 1}, data.data()), std::as_writable_bytes(std::span(out)),
                                step, codec, &too_short);
    };
    const Status status = decode(asked);
    ASSERT_TRUE(status.ok()) << n << status.message();
    ASSERT_FALSE(too_short);
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(out[i], 50'000 + i) << n;
    if (!in_part) continue;
    // Fewer bytes than it takes are said to be too few, and never data.
    const Status fewer = decode(deflate ? std::min<ByteCount>(n / 4 + 1, 40) : n * 4 - 1);
    ASSERT_FALSE(fewer.ok()) << n;
    EXPECT_TRUE(too_short) << n;
    EXPECT_NE(fewer.message().find("more are needed"), std::string::npos) << fewer.message();
  }
}

// However little of it the array has: nobody else reads that chunk.
TEST_P(ArrayTest, TheLastChunksChecksumIsLookedAt) {
  const auto [deflate, shuffle, big] = GetParam();
  if (!deflate) return;  // no checksum
  const TestArray array({{1003}, {100}}, deflate, shuffle, big);
  CodecContext codec;
  std::vector<std::byte> step(array.step_bytes());
  RequestList list;
  array.add_requests(1000, 3, Heads::estimated, list);
  ASSERT_EQ(list.total_bytes(), array.chunk(10).stored);
  auto data = fetch(list);
  std::vector<std::uint32_t> out(3);
  const auto decode = [&] {
    bool too_short = false;
    return array.decode_chunk(10, Fetched(list.requests(), data.data()),
                              std::as_writable_bytes(std::span(out)), step, codec, &too_short);
  };
  ASSERT_TRUE(decode().ok());
  EXPECT_EQ(out[2], 1002u);
  data.back() ^= std::byte{1};
  EXPECT_EQ(decode().code(), StatusCode::corrupt);
}

TEST_P(ArrayTest, AnyRankInCOrder) {
  const auto [deflate, shuffle, big] = GetParam();
  const std::vector<Shape> shapes = {
      {{13, 17}, {4, 5}}, {{3, 4, 5}, {2, 9, 2}}, {{1, 1, 70}, {1, 1, 8}}, {{8, 8}, {8, 8}}};
  for (const Shape& shape : shapes) {
    const std::vector<std::uint64_t> missing = {1};
    const TestArray array(shape, deflate, shuffle, big, missing, {0});
    const auto bytes = array.read_all(1 << 20);
    ASSERT_TRUE(bytes.ok()) << bytes.status().message();
    ASSERT_EQ(bytes->size(), array.size() * 4);
    for (std::uint64_t i = 0; i < array.size(); ++i) {
      std::uint32_t v;
      std::memcpy(&v, bytes->data() + i * 4, 4);
      ASSERT_EQ(v, array.want(i, missing)) << i;
    }
    EXPECT_EQ(array.read_all(array.size() * 4 - 1).status().code(), StatusCode::budget);
  }
}

TEST(ArrayErrorTest, NameFileObjectChunkAndOffset) {
  const TestArray array({{1000}, {100}}, true, false, false);
  const ChunkLocation at = array.chunk(4);
  array.faults->set({.flips = {{.offset = at.offset + 30}}});
  std::vector<std::byte> out(4000);
  const Status status = array.read_range(0, 1000, out);
  EXPECT_EQ(status.code(), StatusCode::corrupt);
  EXPECT_TRUE(status.message().starts_with("f: /X/data chunk 4 at byte 0x")) << status.message();

  array.faults->set({.fail_at = at.offset + 3});
  const Status io = array.read_range(400, 10, std::span(out).first(40));
  EXPECT_EQ(io.code(), StatusCode::io_error);
  EXPECT_TRUE(io.message().starts_with("f: /X/data: reading ")) << io.message();
  EXPECT_EQ(array.read_all(1 << 20).status().code(), StatusCode::io_error);
}

TEST(ArrayErrorTest, ArgumentsAndTypes) {
  TestArray array({{1000}, {100}}, true, false, false);
  std::vector<std::byte> out(4000);
  EXPECT_EQ(array.read_range(1, 1000, out).code(), StatusCode::invalid_argument);
  EXPECT_EQ(array.read_range(~std::uint64_t{0}, 2, std::span(out).first(8)).code(),
            StatusCode::invalid_argument);
  EXPECT_EQ(array.read_range(0, 10, out).code(), StatusCode::invalid_argument);
  std::vector<std::byte> scratch(array.range_scratch_bytes());
  CodecContext codec;
  EXPECT_EQ(array.decode_range(0, 1000, Fetched({}, nullptr), scratch, codec, out).code(),
            StatusCode::internal);
  array.budget() = MemoryBudget::create(100);
  const Status budget = array.read_range(0, 1000, out);
  EXPECT_EQ(budget.code(), StatusCode::budget);
  EXPECT_TRUE(budget.message().starts_with("f: /X/data: scratch needs")) << budget.message();
  array.break_type();
  EXPECT_EQ(array.read_range(0, 1000, out).code(), StatusCode::unsupported);
  EXPECT_EQ(array.read_all(1 << 20).status().code(), StatusCode::unsupported);
  TestArray two({{10, 10}, {4, 4}}, false, false, false);
  EXPECT_EQ(two.read_range(0, 10, std::span(out).first(40)).code(), StatusCode::invalid_argument);
}

TEST(ArrayContiguousTest, ElementsAreAddressable) {
  for (const bool big : {false, true}) {
    const TestArray array({{20, 30}, {}}, false, false, big);
    EXPECT_FALSE(array.is_chunked());
    EXPECT_EQ(array.step_bytes(), 0u);
    RequestList list;
    array.add_requests(45, 10, Heads::whole, list);
    ASSERT_EQ(list.requests().size(), 1u);
    EXPECT_EQ(list.requests()[0].offset, 16u + 45 * 4);
    EXPECT_EQ(list.total_bytes(), 40u);
    const auto data = fetch(list);
    CodecContext codec;
    std::vector<std::uint32_t> out(10);
    ASSERT_TRUE(array
                    .decode_range(45, 10, Fetched(list.requests(), data.data()), {}, codec,
                                  std::as_writable_bytes(std::span(out)))
                    .ok());
    EXPECT_EQ(out[0], 45u);
    EXPECT_EQ(out[9], 54u);
    const auto all = array.read_all(1 << 20);
    ASSERT_TRUE(all.ok());
    std::memcpy(out.data(), all->data() + 599 * 4, 4);
    EXPECT_EQ(out[0], 599u);
  }
}

TEST(ArrayReadTest, NoChunkAtAll) {
  std::vector<std::uint64_t> missing(10);
  std::iota(missing.begin(), missing.end(), 0);
  const TestArray array({{1000}, {100}}, true, true, false, missing);
  const auto all = array.read_all(1 << 20);
  ASSERT_TRUE(all.ok());
  std::uint32_t v;
  std::memcpy(&v, all->data() + 999 * 4, 4);
  EXPECT_EQ(v, 0xabcdu);
}

TEST(ArrayReadTest, SmallChunksAreReadTogether) {
  const TestArray array({{20000}, {10}}, true, false, false);
  array.faults->reset_counters();
  ASSERT_TRUE(array.read_all(1 << 20).ok());
  EXPECT_LE(array.faults->reads(), 4u);
  EXPECT_EQ(const_cast<TestArray&>(array).budget()->usage().used, 0u);
}

}  // namespace
}  // namespace penstock::store
