#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codecs/codec.h"
#include "codecs/testing.h"

namespace penstock {
namespace {

using penstock::testing::Bytes;
using penstock::testing::counts;
using penstock::testing::deflated;
using penstock::testing::GuardedBytes;
using penstock::testing::lzf_encoded;
using penstock::testing::noise;
using penstock::testing::shuffled;
using penstock::testing::with_fletcher32;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Kind = DecodeResult::Kind;

constexpr FilterId kDeflate = FilterId::deflate;
constexpr FilterId kShuffle = FilterId::shuffle;
constexpr FilterId kFletcher = FilterId::fletcher32;
constexpr FilterId kLzf = FilterId::lzf;

FilterPipeline pipeline_of(const std::vector<FilterId>& ids, std::size_t item_size = 4) {
  std::vector<FilterSpec> filters;
  for (const FilterId id : ids) filters.push_back({id, {}});
  auto pipeline = FilterPipeline::create(std::move(filters), item_size);
  EXPECT_TRUE(pipeline.ok());
  return std::move(pipeline).value();
}

// Applies the filters that the mask does not skip, in order.
Bytes encode(const FilterPipeline& pipeline, std::uint32_t mask, Bytes bytes) {
  for (std::size_t i = 0; i < pipeline.filters().size(); ++i) {
    if ((mask >> i & 1U) != 0) continue;
    const FilterSpec& filter = pipeline.filters()[i];
    if (filter.id == kDeflate) bytes = deflated(bytes);
    if (filter.id == kShuffle) bytes = shuffled(bytes, filter.params[0]);
    if (filter.id == kFletcher) bytes = with_fletcher32(bytes);
    if (filter.id == kLzf) bytes = lzf_encoded(bytes);
  }
  return bytes;
}

struct Decoded {
  DecodeResult result;
  Bytes bytes;
};
Decoded decode(const FilterPipeline& pipeline, const Bytes& stored, std::uint32_t mask, std::size_t size) {
  static CodecContext context;
  const GuardedBytes in(stored);
  const GuardedBytes out(size);
  const GuardedBytes step(pipeline.step_bytes(size));
  const DecodeResult result = pipeline.decode(in.span(), mask, out.span(), step.span(), context);
  return {result, out.copy()};
}

const std::vector<std::vector<FilterId>> kPipelines = {
    {},
    {kDeflate},
    {kShuffle},
    {kFletcher},
    {kLzf},
    {kShuffle, kDeflate},
    {kShuffle, kLzf},
    {kDeflate, kFletcher},
    {kFletcher, kDeflate},
    {kShuffle, kDeflate, kFletcher},
    {kFletcher, kShuffle, kDeflate},
    {kFletcher, kShuffle, kLzf, kDeflate, kFletcher},
    {kShuffle, kShuffle, kShuffle, kDeflate},
    {kLzf, kDeflate},
    {kFletcher, kFletcher},
};

TEST(FilterPipeline, every_pipeline_and_every_mask) {
  for (const auto& ids : kPipelines) {
    const FilterPipeline pipeline = pipeline_of(ids);
    for (std::uint32_t mask = 0; mask < (1U << ids.size()); ++mask) {
      for (const std::size_t n : {64, 1000, 1003, 20001}) {
        const Bytes raw = counts(n);
        const Bytes stored = encode(pipeline, mask, raw);
        const Decoded decoded = decode(pipeline, stored, mask, n);
        ASSERT_TRUE(decoded.result.ok())
            << pipeline.describe() << " mask " << mask << ": " << decoded.result.describe();
        ASSERT_EQ(decoded.bytes, raw);
        ASSERT_LE(n, pipeline.max_decoded(stored.size(), mask));
        ASSERT_LE(stored.size(), pipeline.max_stored(n));
      }
    }
  }
}

TEST(FilterPipeline, sizes_off_by_one_in_both_directions) {
  for (const auto& ids : kPipelines) {
    const FilterPipeline pipeline = pipeline_of(ids);
    for (std::uint32_t mask = 0; mask < (1U << ids.size()); ++mask) {
      const Bytes stored = encode(pipeline, mask, counts(1001));
      const Decoded more_wanted = decode(pipeline, stored, mask, 1002);
      const Decoded less_wanted = decode(pipeline, stored, mask, 1000);
      ASSERT_EQ(more_wanted.result.kind, Kind::short_output) << pipeline.describe() << " mask " << mask;
      ASSERT_EQ(more_wanted.result.expected, more_wanted.result.found + 1);
      ASSERT_EQ(less_wanted.result.kind, Kind::long_output) << pipeline.describe() << " mask " << mask;
      ASSERT_EQ(less_wanted.result.expected + 1, less_wanted.result.found);
    }
  }
}

TEST(FilterPipeline, incompressible_data_fits_the_bounds) {
  for (const auto& ids : kPipelines) {
    const FilterPipeline pipeline = pipeline_of(ids);
    for (const std::size_t n : {40, 5000, 100000}) {
      const Bytes raw = noise(n);
      const Bytes stored = encode(pipeline, 0, raw);
      ASSERT_LE(stored.size(), pipeline.max_stored(n)) << pipeline.describe();
      const Decoded decoded = decode(pipeline, stored, 0, n);
      ASSERT_TRUE(decoded.result.ok()) << pipeline.describe();
      ASSERT_EQ(decoded.bytes, raw);
    }
  }
}

TEST(FilterPipeline, garbage_and_truncation_never_decode) {
  for (const auto& ids : kPipelines) {
    const FilterPipeline pipeline = pipeline_of(ids);
    const Bytes raw = counts(600);
    const Bytes stored = encode(pipeline, 0, raw);
    for (std::size_t n = 0; n < stored.size(); ++n) {
      const Bytes part(stored.begin(), stored.begin() + static_cast<std::ptrdiff_t>(n));
      ASSERT_FALSE(decode(pipeline, part, 0, raw.size()).result.ok()) << pipeline.describe() << " " << n;
    }
    for (unsigned seed = 0; seed < 50; ++seed) {
      (void)decode(pipeline, noise(seed * 7, seed), 0, raw.size());
    }
  }
}

TEST(FilterPipeline, a_bomb_stops_at_the_output) {
  const FilterPipeline pipeline = pipeline_of({kShuffle, kDeflate});
  const Bytes stored = deflated(Bytes(50'000'000), 9);
  EXPECT_LT(stored.size(), 100'000U);
  const Decoded decoded = decode(pipeline, stored, 0, 4096);
  EXPECT_EQ(decoded.result.kind, Kind::long_output);
  EXPECT_GE(pipeline.max_decoded(stored.size(), 0), 50'000'000U);
  EXPECT_LT(pipeline.max_decoded(1000, 0), 2'000'000U);
}

TEST(FilterPipeline, zeros_at_the_best_ratio_are_honest) {
  for (const FilterId id : {kDeflate, kLzf}) {
    const FilterPipeline pipeline = pipeline_of({id});
    const Bytes raw(3'000'000);
    const Bytes stored = encode(pipeline, 0, raw);
    EXPECT_GE(pipeline.max_decoded(stored.size(), 0), raw.size());
  }
}

TEST(FilterPipeline, bounds_saturate) {
  const FilterPipeline pipeline = pipeline_of({kDeflate, kLzf, kFletcher});
  EXPECT_EQ(pipeline.max_decoded(UINT64_MAX / 2, 0), UINT64_MAX);
  EXPECT_EQ(pipeline.max_stored(UINT64_MAX), UINT64_MAX);
  EXPECT_EQ(pipeline.step_bytes(UINT64_MAX), UINT64_MAX);
  EXPECT_EQ(pipeline.max_decoded(1000, 7), 1000U);
  EXPECT_EQ(pipeline.max_decoded(3, 3), 0U);
}

TEST(FilterPipeline, step_buffers) {
  EXPECT_EQ(pipeline_of({}).step_bytes(1000), 0U);
  EXPECT_EQ(pipeline_of({kDeflate}).step_bytes(1000), 0U);
  EXPECT_EQ(pipeline_of({kDeflate, kFletcher}).step_bytes(1000), 0U);
  EXPECT_EQ(pipeline_of({kShuffle, kDeflate}).step_bytes(1000), 1000U);
  EXPECT_EQ(pipeline_of({kFletcher, kDeflate}).step_bytes(1000), 1004U);
  EXPECT_EQ(pipeline_of({kFletcher, kShuffle, kDeflate}).step_bytes(1000), 2008U);
  const FilterPipeline pipeline = pipeline_of({kShuffle, kDeflate});
  CodecContext context;
  Bytes out(1000);
  Bytes step(999);
  const DecodeResult result = pipeline.decode(deflated(counts(1000)), 0, out, step, context);
  EXPECT_EQ(result.kind, Kind::no_space);
  EXPECT_THAT(result.describe(), AllOf(HasSubstr("1000"), HasSubstr("999")));
}

TEST(FilterPipeline, fletcher32_catches_damage_and_takes_both_byte_orders) {
  const FilterPipeline pipeline = pipeline_of({kFletcher});
  const Bytes raw = noise(1000);
  Bytes stored = with_fletcher32(raw);
  std::swap(stored[1000], stored[1001]);
  std::swap(stored[1002], stored[1003]);
  EXPECT_TRUE(decode(pipeline, stored, 0, 1000).result.ok());
  stored[500] ^= std::byte{1};
  const DecodeResult result = decode(pipeline, stored, 0, 1000).result;
  EXPECT_EQ(result.kind, Kind::checksum);
  EXPECT_NE(result.expected, result.found);
  EXPECT_THAT(result.describe(), AllOf(HasSubstr("fletcher32"), HasSubstr("checksum 0x")));
}

Bytes from_hex(std::string_view hex) {
  Bytes bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

template <class F>
Bytes int32s(std::size_t n, F&& value) {
  std::vector<std::int32_t> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = value(static_cast<std::int32_t>(i));
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

TEST(FilterPipeline, chunks_that_h5py_wrote) {
  const Bytes thousands = from_hex("785e63787161c7828e8208070d0666766e7e6171697965062c0000bce30574f340064e");
  const Decoded a = decode(pipeline_of({kShuffle, kDeflate, kFletcher}), thousands, 0, 40);
  EXPECT_TRUE(a.result.ok()) << a.result.describe();
  EXPECT_EQ(a.bytes, int32s(10, [](std::int32_t i) { return i * 1000; }));
  const Bytes threes = from_hex("010303e059000000e0ff00e01800010000");
  const Decoded b = decode(pipeline_of({kShuffle, kLzf}), threes, 0, 400);
  EXPECT_TRUE(b.result.ok()) << b.result.describe();
  EXPECT_EQ(b.bytes, int32s(100, [](std::int32_t) { return 3; }));
}

TEST(FilterPipeline, heads_of_every_length) {
  CodecContext context;
  const Bytes raw = counts(300);
  const FilterPipeline plain = pipeline_of({});
  const FilterPipeline deflate = pipeline_of({kDeflate});
  const FilterPipeline shuffle = pipeline_of({kShuffle, kDeflate});
  const Bytes compressed = deflated(raw);
  for (std::size_t n = 0; n <= raw.size(); ++n) {
    const Bytes expected(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(n));
    const GuardedBytes out(n);
    ASSERT_TRUE(plain.decode_head(raw, 0, out.span(), context).ok());
    ASSERT_EQ(out.copy(), expected);
    ASSERT_TRUE(deflate.decode_head(compressed, 0, out.span(), context).ok());
    ASSERT_EQ(out.copy(), expected);
    ASSERT_TRUE(deflate.decode_head(raw, 1, out.span(), context).ok());
    ASSERT_EQ(out.copy(), expected);
    ASSERT_TRUE(shuffle.decode_head(compressed, 1, out.span(), context).ok());
    ASSERT_EQ(out.copy(), expected);
  }
  Bytes longer(301);
  EXPECT_EQ(plain.decode_head(raw, 0, longer, context).kind, Kind::short_output);
  EXPECT_EQ(deflate.decode_head(compressed, 0, longer, context).kind, Kind::short_output);
  EXPECT_EQ(deflate.decode_head(noise(100), 0, longer, context).kind, Kind::bad_data);
}

TEST(FilterPipeline, which_heads_can_be_decoded) {
  EXPECT_TRUE(pipeline_of({}).can_decode_head(0));
  EXPECT_TRUE(pipeline_of({kDeflate}).can_decode_head(0));
  EXPECT_TRUE(pipeline_of({kDeflate}).can_decode_head(1));
  EXPECT_FALSE(pipeline_of({kDeflate, kDeflate}).can_decode_head(0));
  EXPECT_TRUE(pipeline_of({kDeflate, kDeflate}).can_decode_head(2));
  EXPECT_FALSE(pipeline_of({kShuffle, kDeflate}).can_decode_head(0));
  EXPECT_TRUE(pipeline_of({kShuffle, kDeflate}).can_decode_head(1));
  EXPECT_FALSE(pipeline_of({kDeflate, kFletcher}).can_decode_head(0));
  EXPECT_TRUE(pipeline_of({kDeflate, kFletcher}).can_decode_head(2));
  EXPECT_FALSE(pipeline_of({kLzf}).can_decode_head(0));
}

TEST(FilterPipeline, impossible_parameters_are_corrupt) {
  EXPECT_EQ(FilterPipeline::create({{kShuffle, {0}}}, 4).status().code(), StatusCode::corrupt);
  EXPECT_EQ(FilterPipeline::create({{kShuffle, {}}}, 0).status().code(), StatusCode::corrupt);
  EXPECT_EQ(FilterPipeline::create({{kDeflate, {10}}}, 4).status().code(), StatusCode::corrupt);
  EXPECT_TRUE(FilterPipeline::create(std::vector<FilterSpec>(32, FilterSpec{kFletcher, {}}), 4).ok());
  EXPECT_EQ(FilterPipeline::create(std::vector<FilterSpec>(33, FilterSpec{kFletcher, {}}), 4).status().code(),
            StatusCode::corrupt);
}

TEST(FilterPipeline, thirty_two_filters) {
  const FilterPipeline pipeline = pipeline_of(std::vector<FilterId>(32, kFletcher));
  const Bytes raw = noise(50);
  EXPECT_EQ(decode(pipeline, encode(pipeline, 0, raw), 0, 50).bytes, raw);
  EXPECT_EQ(decode(pipeline, encode(pipeline, 0x80000001U, raw), 0x80000001U, 50).bytes, raw);
  EXPECT_TRUE(decode(pipeline, raw, UINT32_MAX, 50).result.ok());
}

TEST(FilterPipeline, a_huge_item_size_copies) {
  const auto pipeline = FilterPipeline::create({{kShuffle, {0xffffffffU}}}, 4);
  ASSERT_TRUE(pipeline.ok());
  const Bytes raw = noise(50);
  EXPECT_EQ(decode(*pipeline, raw, 0, 50).bytes, raw);
}

TEST(FilterPipeline, describe) {
  EXPECT_EQ(FilterPipeline().describe(), "none");
  EXPECT_EQ(FilterPipeline::create({{kShuffle, {4}}, {kDeflate, {4}}}, 4)->describe(), "shuffle+deflate(4)");
  EXPECT_EQ(pipeline_of({kLzf, kFletcher}).describe(), "lzf+fletcher32");
  EXPECT_EQ(decode(pipeline_of({kDeflate}), deflated(counts(68309)), 0, 68312).result.describe(),
            "deflate: expected 68312 bytes, got 68309");
  EXPECT_EQ(decode(pipeline_of({kDeflate}), deflated(counts(10)), 0, 9).result.describe(),
            "deflate: expected 9 bytes, got more");
  EXPECT_EQ(decode(pipeline_of({}), counts(10), 0, 9).result.describe(),
            "unfiltered chunk: expected 9 bytes, got 10");
  EXPECT_EQ(decode(pipeline_of({kDeflate}), noise(50), 0, 9).result.describe(),
            "deflate: the compressed data is damaged");
}

}  // namespace
}  // namespace penstock
