// The filters that have blocks of their own: lz4, zstd, blosc, bitshuffle. What other writers make of them is in
// src/hdf5/generated_test.cc.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "codecs/bitshuffle.h"
#include "codecs/blosc.h"
#include "codecs/blosclz.h"
#include "codecs/codec.h"
#include "codecs/testing.h"

namespace penstock {
namespace {

using namespace penstock::testing;
using Kind = DecodeResult::Kind;

struct Case {
  std::string name;
  FilterSpec filter;
  std::function<Bytes(const Bytes&)> encode;
};

std::vector<Case> cases() {
  std::vector<Case> all = {
      {"lz4", {.id = FilterId::lz4, .params = {}}, [](const Bytes& raw) { return lz4_encoded(raw, 1000); }},
      {"zstd", {.id = FilterId::zstd, .params = {3}}, [](const Bytes& raw) { return zstd_encoded(raw); }},
  };
  for (const unsigned compression : {0U, 2U, 3U}) {
    all.push_back({"bitshuffle " + std::to_string(compression),
                   {.id = FilterId::bitshuffle, .params = {0, 3, 4, 64, compression}},
                   [=](const Bytes& raw) { return bitshuffle_encoded(raw, 4, 64, compression); }});
  }
  for (const unsigned codec : {1U, 4U}) {
    for (const unsigned shuffle : {0U, 1U, 4U}) {
      all.push_back({"blosc " + std::to_string(codec) + " " + std::to_string(shuffle),
                     {.id = FilterId::blosc, .params = {}},
                     [=](const Bytes& raw) { return blosc_encoded(raw, 4, 512, codec, shuffle); }});
    }
  }
  return all;
}

TEST(BlockFilters, round_trips_within_their_buffers) {
  CodecContext context;
  for (const Case& c : cases()) {
    const FilterPipeline pipeline = *FilterPipeline::create({c.filter}, 4);
    for (const std::size_t n : {4, 32, 100, 4096, 70004}) {
      for (const Bytes& raw : {counts(n), noise(n), Bytes(n, std::byte{7})}) {
        const GuardedBytes stored(c.encode(raw)), out(n), step(pipeline.step_bytes(n));
        EXPECT_LE(stored.span().size(), pipeline.max_stored(n)) << c.name;
        EXPECT_GE(pipeline.max_decoded(stored.span().size(), 0), n) << c.name;
        const DecodeResult result = pipeline.decode(stored.span(), 0, out.span(), step.span(), context);
        ASSERT_TRUE(result.ok()) << c.name << " " << n << ": " << result.describe();
        EXPECT_EQ(out.copy(), raw) << c.name << " " << n;
      }
    }
  }
}

TEST(BlockFilters, after_shuffle_and_before_a_checksum) {
  CodecContext context;
  const Bytes raw = counts(4000);
  for (const Case& c : cases()) {
    const FilterPipeline pipeline = *FilterPipeline::create(
        {{.id = FilterId::shuffle, .params = {4}}, c.filter, {.id = FilterId::fletcher32, .params = {}}}, 4);
    const GuardedBytes stored(with_fletcher32(c.encode(shuffled(raw, 4)))), out(raw.size()),
        step(pipeline.step_bytes(raw.size()));
    const DecodeResult result = pipeline.decode(stored.span(), 0, out.span(), step.span(), context);
    ASSERT_TRUE(result.ok()) << c.name << ": " << result.describe();
    EXPECT_EQ(out.copy(), raw);
  }
}

TEST(BlockFilters, every_truncation_and_every_flipped_byte_stays_in_bounds) {
  CodecContext context;
  const Bytes raw = counts(2000);
  for (const Case& c : cases()) {
    const FilterPipeline pipeline = *FilterPipeline::create({c.filter}, 4);
    const Bytes whole = c.encode(raw);
    const GuardedBytes out(raw.size()), step(pipeline.step_bytes(raw.size()));
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const GuardedBytes stored{std::span(whole).first(n)};
      EXPECT_FALSE(pipeline.decode(stored.span(), 0, out.span(), step.span(), context).ok()) << c.name << n;
    }
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const unsigned mask : {0x01U, 0x80U, 0xffU}) {
        Bytes damaged = whole;
        damaged[at] ^= static_cast<std::byte>(mask);
        const GuardedBytes stored(damaged);
        const DecodeResult result = pipeline.decode(stored.span(), 0, out.span(), step.span(), context);
        EXPECT_FALSE(result.describe().empty());
      }
    }
  }
}

TEST(BlockFilters, another_size_than_the_chunks_is_said_so) {
  CodecContext context;
  const Bytes raw = counts(2000);
  for (const Case& c : cases()) {
    const FilterPipeline pipeline = *FilterPipeline::create({c.filter}, 4);
    const Bytes stored = c.encode(raw);
    const GuardedBytes less(raw.size() - 4), more(raw.size() + 4), step(pipeline.step_bytes(raw.size() + 4));
    EXPECT_EQ(pipeline.decode(stored, 0, less.span(), step.span(), context).kind, Kind::long_output)
        << c.name;
    EXPECT_EQ(pipeline.decode(stored, 0, more.span(), step.span(), context).kind, Kind::short_output)
        << c.name;
    const ByteCount needed = pipeline.step_bytes(raw.size());
    if (needed > 0) {
      const GuardedBytes out(raw.size()), small(needed - 1);
      EXPECT_EQ(pipeline.decode(stored, 0, out.span(), small.span(), context).kind, Kind::no_space) << c.name;
    }
  }
}

TEST(BlockFilters, descriptions_name_what_is_inside) {
  const auto text = [](FilterSpec filter) {
    return FilterPipeline::create({std::move(filter)}, 4)->describe();
  };
  EXPECT_EQ(text({.id = FilterId::blosc, .params = {2, 2, 4, 4000, 5, 1, 5}}), "blosc(zstd)");
  EXPECT_EQ(text({.id = FilterId::blosc, .params = {}}), "blosc");
  EXPECT_EQ(text({.id = FilterId::bitshuffle, .params = {0, 3, 4, 0, 2}}), "bitshuffle(lz4)");
  EXPECT_EQ(text({.id = FilterId::zstd, .params = {3}}), "zstd");
}

TEST(Bitshuffle, parameters_without_sense_are_refused) {
  const auto code = [](std::vector<std::uint32_t> params) {
    return FilterPipeline::create({{.id = FilterId::bitshuffle, .params = std::move(params)}}, 4)
        .status()
        .code();
  };
  EXPECT_EQ(code({0, 3}), StatusCode::corrupt);
  EXPECT_EQ(code({0, 3, 0}), StatusCode::corrupt);
  EXPECT_EQ(code({0, 3, 4, 12}), StatusCode::corrupt);
  EXPECT_EQ(code({0, 3, 4, 0, 1}), StatusCode::unsupported);
}

TEST(BloscLz, literals_and_matches_near_far_and_overlapping) {
  const auto decode = [](std::vector<unsigned> bytes, std::size_t room) {
    Bytes stored;
    for (const unsigned b : bytes) stored.push_back(static_cast<std::byte>(b));
    const GuardedBytes in(stored), out(room);
    const internal::StageResult result = internal::blosclz_block(in.span(), out.span());
    std::string text;
    for (std::size_t i = 0; i < result.written; ++i) text += std::to_integer<char>(out.span()[i]);
    return std::pair(result.status, text);
  };
  using internal::StageStatus;
  EXPECT_EQ(decode({2, 'a', 'b', 'c'}, 9), std::pair(StageStatus::ok, std::string("abc")));
  // A match of 3 bytes at distance 3, then a literal.
  EXPECT_EQ(decode({2, 'a', 'b', 'c', 1 << 5, 2, 0, 'd'}, 9),
            std::pair(StageStatus::ok, std::string("abcabcd")));
  // Distance 1, length 3 + 7 - 1 + 4: a run.
  EXPECT_EQ(decode({0, 'x', 7 << 5, 4, 0, 0, 'y'}, 20),
            std::pair(StageStatus::ok, "x" + std::string(13, 'x') + "y"));
  EXPECT_EQ(decode({0, 'x', 1 << 5, 1, 0, 'y'}, 20).first, StageStatus::bad_data);  // before the start
  EXPECT_EQ(decode({2, 'a', 'b'}, 20).first, StageStatus::bad_data);                // literals cut short
  EXPECT_EQ(decode({2, 'a', 'b', 'c'}, 2).first, StageStatus::full);
  EXPECT_EQ(decode({}, 2).first, StageStatus::bad_data);
}

}  // namespace
}  // namespace penstock
