// Chunk indexes that are arrays: fixed (HDF5 spec VII.C) and extensible ones (VII.D).
//
// A chunk's number in the array is its row-major place in the grid of the largest extent; extensible arrays put
// the axis that has no end first.
#pragma once

#include "hdf5/chunk_index.h"

namespace penstock::hdf5 {

// Both verify every checksum on their way, skip pages and blocks that were never written, and are bounded by
// the size of the file.
Status visit_fixed_array(const Image& image, const Layout& layout, const ChunkGrid& grid,
                         const ChunkSink& sink);
Status visit_extensible_array(const Image& image, const Layout& layout, const ChunkGrid& grid,
                              const ChunkSink& sink);

}  // namespace penstock::hdf5
