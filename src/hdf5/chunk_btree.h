// Chunk index of layout version 1 to 3: B-tree version 1 of type 1 (HDF5 spec III.A.1).
#pragma once

#include "hdf5/chunk_index.h"

namespace penstock::hdf5 {

// Hands out every chunk once, in the order of the grid, which is the order of the keys: so whoever holds them
// can pack them as they come. Of a node the children are read some at a time, as sorted, joined reads: they
// lie scattered between the chunks. `corrupt` when a node is visited twice, has the wrong type or level, or
// its keys do not ascend within the bounds of its parent's. Memory, which is that of a path from the root to
// a leaf, is reserved from the index budget.
Status visit_chunk_btree1(const Image& image, Address root, std::size_t rank, const ChunkSink& visit);

}  // namespace penstock::hdf5
