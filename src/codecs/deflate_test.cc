#include "codecs/deflate.h"

#include <gtest/gtest.h>

#include "codecs/testing.h"

namespace penstock::internal {
namespace {

using penstock::testing::Bytes;
using penstock::testing::counts;
using penstock::testing::deflated;
using penstock::testing::GuardedBytes;
using penstock::testing::noise;

TEST(Deflate, whole_stream_of_every_level) {
  CodecContext context;
  for (const int level : {0, 1, 4, 9}) {
    for (const std::size_t n : {1, 2, 100, 4096, 70000}) {
      for (const Bytes& raw : {counts(n), noise(n)}) {
        const GuardedBytes stored(deflated(raw, level));
        const GuardedBytes out(n);
        const StageResult result = inflate_all(stored.span(), out.span(), context);
        ASSERT_EQ(result.status, StageStatus::ok);
        EXPECT_EQ(result.written, n);
        EXPECT_EQ(out.copy(), raw);
      }
    }
  }
}

TEST(Deflate, an_empty_stream) {
  CodecContext context;
  const Bytes stored = deflated({});
  const StageResult result = inflate_all(stored, {}, context);
  EXPECT_EQ(result.status, StageStatus::ok);
  EXPECT_EQ(result.written, 0U);
}

TEST(Deflate, room_off_by_one) {
  CodecContext context;
  const Bytes stored = deflated(counts(1000));
  const GuardedBytes small(999);
  EXPECT_EQ(inflate_all(stored, small.span(), context).status, StageStatus::full);
  const GuardedBytes large(1001);
  const StageResult result = inflate_all(stored, large.span(), context);
  EXPECT_EQ(result.status, StageStatus::ok);
  EXPECT_EQ(result.written, 1000U);
}

TEST(Deflate, every_truncation_is_an_error) {
  CodecContext context;
  const Bytes raw = counts(3000);
  const Bytes whole = deflated(raw);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const GuardedBytes stored{std::span(whole).first(n)};
    const GuardedBytes out(raw.size());
    // Past the end libdeflate sees zeros for a few bits, which may also be too much output.
    ASSERT_NE(inflate_all(stored.span(), out.span(), context).status, StageStatus::ok) << n;
  }
}

TEST(Deflate, a_flipped_byte_never_gives_other_data) {
  CodecContext context;
  const Bytes raw = counts(500);
  const Bytes whole = deflated(raw);
  for (std::size_t i = 1; i < whole.size(); ++i) {
    Bytes damaged = whole;
    damaged[i] ^= std::byte{0x10};
    const GuardedBytes stored(damaged);
    const GuardedBytes out(raw.size());
    const StageResult result = inflate_all(stored.span(), out.span(), context);
    // The bits between the last block and the checksum carry nothing.
    if (result.status == StageStatus::ok && result.written == raw.size()) {
      ASSERT_EQ(out.copy(), raw) << i;
    }
  }
}

TEST(Deflate, garbage) {
  CodecContext context;
  for (unsigned seed = 0; seed < 200; ++seed) {
    Bytes bytes = noise(seed + 1, seed);
    if (bytes.size() > 2) {  // a valid header, then garbage
      bytes[0] = std::byte{0x78};
      bytes[1] = std::byte{0x9c};
    }
    const GuardedBytes stored(bytes);
    const GuardedBytes out(300);
    EXPECT_NE(inflate_all(stored.span(), out.span(), context).status, StageStatus::ok);
    (void)inflate_head(stored.span(), out.span(), context);
  }
}

TEST(Deflate, bytes_behind_the_stream_are_ignored) {
  CodecContext context;
  const Bytes raw = counts(1000);
  Bytes stored = deflated(raw);
  stored.resize(stored.size() + 7, std::byte{0xee});
  const GuardedBytes out(raw.size());
  EXPECT_EQ(inflate_all(stored, out.span(), context).status, StageStatus::ok);
  EXPECT_EQ(out.copy(), raw);
}

TEST(Deflate, heads_of_every_length) {
  CodecContext context;
  const Bytes raw = counts(700);
  const Bytes stored = deflated(raw);
  for (std::size_t n = 0; n <= raw.size(); ++n) {
    const GuardedBytes out(n);
    const StageResult result = inflate_head(stored, out.span(), context);
    ASSERT_EQ(result.status, StageStatus::ok) << n;
    ASSERT_EQ(result.written, n);
    ASSERT_EQ(out.copy(), Bytes(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(n)));
  }
}

TEST(Deflate, a_head_longer_than_the_stream_is_short) {
  CodecContext context;
  const Bytes stored = deflated(counts(700));
  const GuardedBytes out(701);
  const StageResult result = inflate_head(stored, out.span(), context);
  EXPECT_EQ(result.status, StageStatus::ok);
  EXPECT_EQ(result.written, 700U);
}

TEST(Deflate, a_head_needs_no_more_than_its_own_bytes) {
  CodecContext context;
  const Bytes raw = noise(100000);
  const Bytes stored = deflated(raw, 0);
  const GuardedBytes part{std::span(stored).first(60000)};
  const GuardedBytes out(50000);
  const StageResult result = inflate_head(part.span(), out.span(), context);
  EXPECT_EQ(result.written, out.span().size());
  EXPECT_EQ(inflate_head(part.span().first(10), out.span(), context).written, 3U);
}

TEST(Deflate, a_damaged_head_is_an_error_and_the_stream_recovers) {
  CodecContext context;
  const Bytes raw = counts(700);
  const Bytes stored = deflated(raw);
  const Bytes bad = noise(100);
  const GuardedBytes out(700);
  EXPECT_EQ(inflate_head(bad, out.span(), context).status, StageStatus::bad_data);
  EXPECT_EQ(inflate_head(stored, out.span(), context).written, 700U);
  EXPECT_EQ(out.copy(), raw);
}

}  // namespace
}  // namespace penstock::internal
