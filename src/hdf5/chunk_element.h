// What the indexes of layout versions 4 and 5 hold for a chunk: address O, and where the dataset has filters
// stored bytes (w bytes wide) | mask u32.
//
// Thread contract: immutable.
#pragma once

#include <algorithm>
#include <bit>

#include "hdf5/chunk_index.h"

namespace penstock::hdf5 {

class ChunkElement {
 public:
  ChunkElement(const Image& image, const Layout& layout, const ChunkGrid& grid)
      : image_(image), filtered_(grid.filtered), whole_(grid.chunk_bytes) {
    // Version 4 has room for a chunk that filters made larger: one byte more than its size needs, at most.
    const unsigned log2 = static_cast<unsigned>(std::bit_width(grid.chunk_bytes)) - 1;
    width_ = layout.version == 4 ? std::min(8U, 1 + (log2 + 8) / 8) : 8;
  }

  std::size_t bytes() const { return image_.superblock().offset_size + (filtered_ ? width_ + 4 : 0); }

  // Without an origin.
  ChunkEntry read(ByteReader& r) const {
    ChunkEntry entry;
    entry.address = image_.address(r);
    entry.stored = filtered_ ? r.uint(width_) : whole_;
    entry.mask = filtered_ ? r.u32() : 0;
    return entry;
  }

 private:
  const Image& image_;
  const bool filtered_;
  const std::uint64_t whole_;
  std::size_t width_ = 8;
};

}  // namespace penstock::hdf5
