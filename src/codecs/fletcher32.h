// Fletcher-32 (HDF5 filter 3): four bytes of checksum behind the data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock::internal {

constexpr std::size_t kFletcher32Bytes = 4;

// HDF5's variant (H5_checksum_fletcher32): 16-bit words read big-endian, an odd last byte is a high byte,
// sums start at zero.
std::uint32_t fletcher32(std::span<const std::byte> data);

// The sum as HDF5 <= 1.6.2 stored it on little-endian machines: the bytes of each half swapped.
constexpr std::uint32_t fletcher32_swapped(std::uint32_t sum) {
  return ((sum & 0x00ff00ffU) << 8) | ((sum >> 8) & 0x00ff00ffU);
}

}  // namespace penstock::internal
