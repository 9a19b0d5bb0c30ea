// The plain loop of unshuffle.h: what the SIMD versions are tested against.
#pragma once

#include <cstddef>
#include <cstring>

namespace penstock::internal {

inline void unshuffle_ref(const std::byte* in, std::size_t n, std::size_t item_size, std::byte* out) {
  const std::size_t items = n / item_size;
  // Without a whole item nothing moves; a file may say that items have 2^32 bytes.
  for (std::size_t b = 0; items > 0 && b < item_size; ++b) {
    for (std::size_t i = 0; i < items; ++i) out[i * item_size + b] = in[b * items + i];
  }
  const std::size_t whole = items * item_size;
  if (whole < n) std::memcpy(out + whole, in + whole, n - whole);
}

}  // namespace penstock::internal
