// Data layout message, versions 1 to 5 (HDF5 spec IV.A.2.i). Virtual datasets: `unsupported`.
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
  std::uint64_t element_bytes = 0;   // chunked

  // How chunks are found; `address` is where that begins. All but btree1 are of versions 4 and 5.
  enum class Index : std::uint8_t {
    btree1,
    single,
    implicit,
    fixed_array,
    extensible_array,
    btree2
  } index = Index::btree1;
  unsigned version = 3;
  bool edges_unfiltered = false;  // chunks that reach over the edge of the array have no filters
  bool single_filtered = false;   // single: how many bytes are stored, and the mask
  std::uint64_t single_stored = 0;
  std::uint32_t single_mask = 0;
};

Result<Layout> parse_layout(const Image& image, std::span<const std::byte> body, Address at);

}  // namespace penstock::hdf5
