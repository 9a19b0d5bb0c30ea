#include "codecs/fletcher32.h"

#include <gtest/gtest.h>

#include "codecs/testing.h"

namespace penstock::internal {
namespace {

std::uint32_t sum_of(std::string_view text) {
  return fletcher32({reinterpret_cast<const std::byte*>(text.data()), text.size()});
}

// Words added one by one with a reduction each time.
std::uint32_t slow_sum(std::span<const std::byte> data) {
  std::uint64_t sum1 = 0;
  std::uint64_t sum2 = 0;
  for (std::size_t i = 0; i < data.size(); i += 2) {
    const unsigned low = i + 1 < data.size() ? std::to_integer<unsigned>(data[i + 1]) : 0;
    sum1 += std::to_integer<unsigned>(data[i]) << 8 | low;
    sum2 += sum1;
    while (sum1 > 0xffff) sum1 = (sum1 & 0xffff) + (sum1 >> 16);
    while (sum2 > 0xffff) sum2 = (sum2 & 0xffff) + (sum2 >> 16);
  }
  return static_cast<std::uint32_t>(sum2 << 16 | sum1);
}

TEST(Fletcher32, known_sums) {
  EXPECT_EQ(sum_of(""), 0U);
  EXPECT_EQ(sum_of("\x01\x02"), 0x01020102U);
  EXPECT_EQ(sum_of("\x01\x02\x03"), 0x05040402U);  // the odd byte is a high byte
}

TEST(Fletcher32, equals_the_slow_sum) {
  for (const std::size_t n : {1, 2, 3, 719, 720, 721, 722, 1440, 5001, 100000}) {
    const auto data = penstock::testing::noise(n);
    EXPECT_EQ(fletcher32(data), slow_sum(data)) << n;
    const penstock::testing::Bytes ones(n, std::byte{0xff});
    EXPECT_EQ(fletcher32(ones), slow_sum(ones)) << n;
  }
}

// Chunks that h5py 3.16 wrote: the sum is stored little-endian.
TEST(Fletcher32, as_hdf5) {
  penstock::testing::Bytes data(3001);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i);
  EXPECT_EQ(fletcher32(std::span(data).first(7)), 0x14170c09U);
  EXPECT_EQ(fletcher32(std::span(data).first(1000)), 0x0d689183U);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7919 % 251);
  EXPECT_EQ(fletcher32(data), 0x248cca0eU);
}

TEST(Fletcher32, swapped) {
  EXPECT_EQ(fletcher32_swapped(0x11223344U), 0x22114433U);
  EXPECT_EQ(fletcher32_swapped(fletcher32_swapped(0xdeadbeefU)), 0xdeadbeefU);
}

}  // namespace
}  // namespace penstock::internal
