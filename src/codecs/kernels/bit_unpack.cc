// Parquet's bit-packed runs (Encodings.md, "Run Length Encoding / Bit-Packing Hybrid"): values without gaps
// from the lowest bit of each byte up. The specification's example, 0 to 7 in 3 bits each, is three bytes:
//
//     bytes   0x88      0xC6      0xFA           as one number: 0xFAC688
//     bits    10001000  11000110  11111010       value 2 begins at bit 6: 0xFAC688 >> 6 & 7 = 2
//
// Eight values always take whole bytes, `width` of them, so that from group to group the same bytes hold the
// same values, and one table of byte numbers serves all groups.

#include "codecs/kernels/bit_unpack.h"

#include <algorithm>
#include <cstring>

#include "codecs/kernels/bit_unpack_ref.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codecs/kernels/bit_unpack.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace penstock::internal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

std::uint32_t unpack_groups(const std::uint8_t* in, int width, std::size_t groups, std::uint32_t* out) {
  return bit_unpack_ref(reinterpret_cast<const std::byte*>(in), width, groups * 8, out);
}

#else

// Eight values take `width` bytes. Four of them at a time: their bytes are spread over the 32-bit lanes by a
// byte shuffle, shifted down lane by lane and masked. A value of up to 25 bits lies within 4 bytes wherever
// it begins. Reads 16 bytes from the byte of each fourth value on.
std::uint32_t unpack_groups(const std::uint8_t* HWY_RESTRICT in, int width, std::size_t groups,
                            std::uint32_t* HWY_RESTRICT out) {
  const hn::Full128<std::uint8_t> d8;
  const hn::Full128<std::uint32_t> d32;
  alignas(16) std::uint8_t bytes[2][16];
  alignas(16) std::uint32_t shifts[2][4];
  // The fifth value begins at bit 4 * width, which is this byte or the middle of it.
  const std::size_t second = static_cast<std::size_t>(width) / 2;  // byte of the fifth value
  for (int half = 0; half < 2; ++half) {
    for (int lane = 0; lane < 4; ++lane) {
      const int bit = (4 * half + lane) * width - (half == 0 ? 0 : static_cast<int>(second) * 8);
      shifts[half][lane] = static_cast<std::uint32_t>(bit % 8);
      for (int b = 0; b < 4; ++b) {
        bytes[half][4 * lane + b] = static_cast<std::uint8_t>(std::min(bit / 8 + b, 15));
      }
    }
  }
  const auto table0 = hn::Load(d8, bytes[0]), table1 = hn::Load(d8, bytes[1]);
  const auto shift0 = hn::Load(d32, shifts[0]), shift1 = hn::Load(d32, shifts[1]);
  const auto mask = hn::Set(d32, static_cast<std::uint32_t>((std::uint64_t{1} << width) - 1));
  auto most = hn::Zero(d32);
  for (std::size_t g = 0; g < groups; ++g) {
    const auto raw0 = hn::TableLookupBytes(hn::LoadU(d8, in), table0);
    const auto raw1 = hn::TableLookupBytes(hn::LoadU(d8, in + second), table1);
    const auto v0 = hn::And(hn::Shr(hn::BitCast(d32, raw0), shift0), mask);
    const auto v1 = hn::And(hn::Shr(hn::BitCast(d32, raw1), shift1), mask);
    most = hn::Max(most, hn::Max(v0, v1));
    hn::StoreU(v0, d32, out);
    hn::StoreU(v1, d32, out + 4);
    in += width;
    out += 8;
  }
  // The largest value, so that who looks codes up in a dictionary compares once for a run of thousands.
  alignas(16) std::uint32_t lanes[4];
  hn::Store(most, d32, lanes);
  return *std::max_element(lanes, lanes + 4);
}

#endif  // HWY_TARGET == HWY_SCALAR

}  // namespace penstock::internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace penstock::internal {

HWY_EXPORT(unpack_groups);

namespace {

// 25 bits that begin at bit 7 of a byte end at the last bit of the fourth. Codes of dictionaries are
// narrower.
constexpr int kWidest = 25;  // of what unpack_groups takes

// Value by value: eight bytes hold one wherever it begins. `readable` bytes may be read.
std::uint32_t unpack_each(const std::byte* in, std::size_t readable, int width, std::size_t n,
                          std::uint32_t* out) {
  const auto mask = static_cast<std::uint32_t>((std::uint64_t{1} << width) - 1);
  std::uint32_t most = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t bit = i * static_cast<std::size_t>(width), left = readable - bit / 8;
    std::uint64_t word = 0;
    if (left >= 8) {
      std::memcpy(&word, in + bit / 8, 8);
    } else {
      std::memcpy(&word, in + bit / 8, left);
    }
    out[i] = static_cast<std::uint32_t>(word >> (bit % 8)) & mask;
    most = std::max(most, out[i]);
  }
  return most;
}

}  // namespace

std::uint32_t bit_unpack(const std::byte* in, std::size_t readable, int width, std::size_t n,
                         std::uint32_t* out) {
  if (width == 0) {
    std::fill_n(out, n, 0U);
    return 0;
  }
  if (width > kWidest) return unpack_each(in, readable, width, n, out);
  // Groups of eight whose loads end inside the input; a group's second load begins at width / 2. What is left
  // at the input's end goes value by value, and never touches a byte beyond `readable`.
  const std::size_t reach = static_cast<std::size_t>(width) / 2 + 16;
  std::size_t groups = 0;
  if (readable >= reach) groups = std::min(n / 8, (readable - reach) / static_cast<std::size_t>(width) + 1);
  std::uint32_t most = 0;
  if (groups > 0) {
    most = HWY_DYNAMIC_DISPATCH(unpack_groups)(reinterpret_cast<const std::uint8_t*>(in), width, groups, out);
  }
  const std::size_t done = groups * 8, from = groups * static_cast<std::size_t>(width);
  return std::max(most, unpack_each(in + from, readable - from, width, n - done, out + done));
}

}  // namespace penstock::internal
#endif  // HWY_ONCE
