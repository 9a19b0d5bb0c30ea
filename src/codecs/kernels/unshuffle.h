// Undoes HDF5's shuffle filter: n bytes that lie as `item_size` planes (all first bytes, all second bytes,
// ...) become items again. The n % item_size bytes behind the planes are copied as they are.
//
// Pure kernel; `in` and `out` hold n bytes each, any alignment, and do not overlap. item_size > 0.
#pragma once

#include <cstddef>

namespace penstock::internal {

void unshuffle(const std::byte* in, std::size_t n, std::size_t item_size, std::byte* out);

}  // namespace penstock::internal
