// The plain loop that bit_unpack is tested against, and that scalar targets run.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace penstock::internal {

inline std::uint32_t bit_unpack_ref(const std::byte* in, int width, std::size_t n, std::uint32_t* out) {
  std::uint32_t most = 0;
  std::size_t bit = 0;
  for (std::size_t i = 0; i < n; ++i) {
    std::uint32_t value = 0;
    for (int b = 0; b < width; ++b, ++bit) {
      value |= (static_cast<std::uint32_t>(in[bit / 8]) >> (bit % 8) & 1U) << b;
    }
    out[i] = value;
    most = std::max(most, value);
  }
  return most;
}

}  // namespace penstock::internal
