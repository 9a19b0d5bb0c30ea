// Chunk index of layout version 1 to 3: B-tree version 1 of type 1 (HDF5 spec III.A.1).
#pragma once

#include <functional>
#include <span>

#include "hdf5/image.h"

namespace penstock::hdf5 {

struct ChunkEntry {
  std::span<const std::uint64_t> origin;  // of the chunk's first element, one number per dimension
  std::uint32_t stored = 0;
  std::uint32_t mask = 0;
  Address address = kUndefined;
};

// Hands out every chunk, in no particular order. Nodes are read level by level, each level as sorted, joined
// reads: they lie scattered between the chunks. `corrupt` when a node is visited twice, has the wrong type or
// level, or its keys do not ascend within the bounds of its parent's. Memory is reserved from the index
// budget.
Status visit_chunks(const Image& image, Address root, std::size_t rank,
                    const std::function<Status(const ChunkEntry&)>& visit);

}  // namespace penstock::hdf5
