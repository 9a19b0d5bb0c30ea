// Where the chunks of a dataset lie: the indexes of all layout versions behind one function, which hands chunk
// after chunk to a sink. What holds them after that is the sink's business.
#pragma once

#include <functional>
#include <span>

#include "hdf5/image.h"
#include "hdf5/layout.h"

namespace penstock::hdf5 {

struct ChunkEntry {
  std::span<const std::uint64_t> origin;  // of the chunk's first element, one number per dimension
  std::uint64_t stored = 0;               // bytes
  std::uint32_t mask = 0;                 // filters that were skipped
  Address address = kUndefined;
};

// Called once a chunk. Chunks outside of the array's extent come, too; their origin is always a multiple of the
// chunk's shape but for damaged B-trees of version 1.
using ChunkSink = std::function<Status(const ChunkEntry&)>;

// What an index needs to know of its array.
struct ChunkGrid {
  std::span<const std::uint64_t> shape;
  std::span<const std::uint64_t> most;  // what `shape` may grow to: fixed and extensible arrays count by that
  std::span<const std::uint64_t> chunk;
  ByteCount chunk_bytes = 0;  // decoded
  bool filtered = false;      // the dataset has filters
};

// Hands out every chunk that is allocated, in one pass and in the order of the grid, so that whoever holds them
// can pack them as they come; only an extensible array whose endless axis is not the first has another order.
// Work is bounded by the size of the file; memory, that of a path from the root to a leaf or of one block, is
// reserved from the index budget.
Status visit_chunks(const Image& image, const Layout& layout, const ChunkGrid& grid, const ChunkSink& sink);

}  // namespace penstock::hdf5
