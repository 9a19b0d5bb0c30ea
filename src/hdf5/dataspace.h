// Dataspace message, versions 1 and 2 (HDF5 spec IV.A.2.b).
#pragma once

#include <vector>

#include "hdf5/image.h"

namespace penstock::hdf5 {

inline constexpr std::size_t kMaxRank = 32;
inline constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

struct Dataspace {
  std::vector<std::uint64_t> dims;  // empty = scalar; {0} = null
  std::vector<std::uint64_t> most;  // what dims may grow to, kUnlimited where that has no end
  std::uint64_t elements = 1;       // product of dims, checked
};

// `at` is the address of `body`, for messages.
Result<Dataspace> parse_dataspace(const Image& image, std::span<const std::byte> body, Address at);

}  // namespace penstock::hdf5
