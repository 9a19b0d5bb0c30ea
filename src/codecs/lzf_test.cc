#include "codecs/lzf.h"

#include <gtest/gtest.h>

#include "codecs/testing.h"

namespace penstock::internal {
namespace {

using penstock::testing::Bytes;
using penstock::testing::counts;
using penstock::testing::GuardedBytes;
using penstock::testing::lzf_encoded;
using penstock::testing::noise;

TEST(Lzf, round_trip) {
  for (const std::size_t n : {5, 33, 100, 4096, 70000}) {
    for (const Bytes& raw : {counts(n), noise(n)}) {
      const GuardedBytes stored(lzf_encoded(raw));
      const GuardedBytes out(n);
      const StageResult result = lzf_decode(stored.span(), out.span());
      ASSERT_EQ(result.status, StageStatus::ok);
      EXPECT_EQ(result.written, n);
      EXPECT_EQ(out.copy(), raw);
    }
  }
}

TEST(Lzf, room_off_by_one) {
  const Bytes raw = counts(1000);
  const Bytes stored = lzf_encoded(raw);
  const GuardedBytes small(999);
  EXPECT_EQ(lzf_decode(stored, small.span()).status, StageStatus::full);
  const GuardedBytes large(1001);
  const StageResult result = lzf_decode(stored, large.span());
  EXPECT_EQ(result.status, StageStatus::ok);
  EXPECT_EQ(result.written, 1000U);
}

TEST(Lzf, nothing_in_or_nothing_out) {
  const GuardedBytes empty(std::size_t{0});
  const GuardedBytes out(10);
  EXPECT_EQ(lzf_decode(empty.span(), out.span()).status, StageStatus::bad_data);
  EXPECT_EQ(lzf_decode(lzf_encoded(counts(10)), {}).status, StageStatus::full);
}

TEST(Lzf, a_reference_before_the_start_is_an_error) {
  const std::byte stored[] = {std::byte{0x20}, std::byte{0x05}};
  const GuardedBytes out(10);
  EXPECT_EQ(lzf_decode(stored, out.span()).status, StageStatus::bad_data);
}

TEST(Lzf, every_truncation_stays_in_bounds) {
  const Bytes raw = counts(2000);
  const Bytes whole = lzf_encoded(raw);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const GuardedBytes stored{std::span(whole).first(n)};
    const GuardedBytes out(raw.size());
    const StageResult result = lzf_decode(stored.span(), out.span());
    ASSERT_TRUE(result.status != StageStatus::ok || result.written < raw.size()) << n;
  }
}

TEST(Lzf, garbage_stays_in_bounds) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    const GuardedBytes stored(noise(seed % 90 + 1, seed));
    const GuardedBytes out(seed % 400 + 1);
    (void)lzf_decode(stored.span(), out.span());
  }
}

}  // namespace
}  // namespace penstock::internal
