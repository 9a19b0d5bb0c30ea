// Data layout message, versions 1 to 3, and the unchunked classes of 4 and 5 (HDF5 spec IV.A.2.i). Chunk
// indexes of version 4 and 5, virtual datasets: `unsupported`, named with the address of the index.
#pragma once

#include <vector>

#include "hdf5/image.h"

namespace penstock::hdf5 {

struct Layout {
  enum class Kind : std::uint8_t { compact, contiguous, chunked } kind = Kind::contiguous;
  Address address = kUndefined;  // contiguous: the bytes; chunked: root of the B-tree; undefined = none yet
  std::uint64_t contiguous_bytes = 0;  // 0 also where the version does not store it
  bool has_contiguous_bytes = false;
  std::vector<std::byte> compact;    // compact: the bytes
  std::vector<std::uint64_t> chunk;  // chunked: dimensions without the element size, none of them 0
  std::uint32_t element_bytes = 0;   // chunked
};

Result<Layout> parse_layout(const Image& image, std::span<const std::byte> body, Address at);

}  // namespace penstock::hdf5
