// Chooses the walk for the kind of index that a layout message names. The three kinds that are little more
// than arithmetic are here as well: one chunk, no index at all, and records of a B-tree of version 2.
//
// All of them give the same: the origin of a chunk in elements, its address, how many bytes are stored there,
// and which filters were skipped. Sinks compare these with the array's shape and with the file.
#include "hdf5/chunk_index.h"

#include <fmt/format.h>

#include <vector>

#include "base/checked.h"
#include "hdf5/btree2.h"
#include "hdf5/chunk_array.h"
#include "hdf5/chunk_btree.h"
#include "hdf5/chunk_element.h"
#include "hdf5/dataspace.h"

namespace penstock::hdf5 {
namespace {

// The one chunk is as large as the array may ever be.
Status visit_single(const Layout& layout, const ChunkGrid& grid, const ChunkSink& sink) {
  const std::vector<std::uint64_t> origin(grid.shape.size(), 0);
  ChunkEntry entry;
  entry.origin = origin;
  entry.stored = layout.single_filtered ? layout.single_stored : grid.chunk_bytes;
  entry.mask = layout.single_mask;
  entry.address = layout.address;
  return sink(entry);
}

// No index: all chunks of the largest extent lie one behind the other, unfiltered.
Status visit_implicit(const Image& image, const Layout& layout, const ChunkGrid& grid,
                      const ChunkSink& sink) {
  constexpr std::string_view kWhat = "implicit chunk index";
  if (grid.filtered) return image.corrupt(layout.address, kWhat, "its chunks are filtered");
  const std::size_t rank = grid.shape.size();
  // In chunks, in elements, and in chunks of the largest extent. Addresses follow from the number of a chunk
  // in the largest grid, so chunks beyond the present shape have their room in the file and are stepped over.
  std::vector<std::uint64_t> at(rank, 0), origin(rank, 0), most(rank, 0);
  for (std::size_t d = 0; d < rank; ++d) {
    if (grid.most[d] == kUnlimited) return image.corrupt(layout.address, kWhat, "a dimension has no end");
    most[d] = ceil_div(grid.most[d], grid.chunk[d]);
  }
  for (bool more = true; more;) {
    std::optional<std::uint64_t> number = 0;
    for (std::size_t d = 0; d < rank && number; ++d) {
      number = checked_mul(*number, most[d]);
      if (number) number = checked_add(*number, at[d]);
      origin[d] = at[d] * grid.chunk[d];
    }
    const auto behind = number ? checked_mul(*number, grid.chunk_bytes) : std::nullopt;
    const auto address = behind ? checked_add(layout.address, *behind) : std::nullopt;
    if (!address) return image.corrupt(layout.address, kWhat, "the chunks overflow 64 bits");
    PENSTOCK_RETURN_IF_ERROR(
        sink({.origin = origin, .stored = grid.chunk_bytes, .mask = 0, .address = *address}));
    // On to the next chunk of the present shape, row-major, like an odometer: the last axis first, back to 0
    // where it is at its end. No axis that moves: all chunks were visited.
    more = false;
    for (std::size_t d = rank; d-- > 0 && !more;) {
      more = (at[d] + 1) * grid.chunk[d] < grid.shape[d];
      at[d] = more ? at[d] + 1 : 0;
    }
  }
  return {};
}

// Record: address O | [stored bytes | mask u32] | place in the grid u64 x rank, counted in chunks. In chunks
// of (7, 9), the place (2, 3) is the chunk with origin (14, 27).
Status visit_tree(const Image& image, const Layout& layout, const ChunkGrid& grid, const ChunkSink& sink) {
  const ChunkElement element(image, layout, grid);
  const std::size_t rank = grid.shape.size();
  std::vector<std::uint64_t> origin(rank);
  const auto add = [&](std::span<const std::byte> record) -> Status {
    ByteReader r(record);
    ChunkEntry entry = element.read(r);
    for (std::size_t d = 0; d < rank; ++d) {
      const auto first = checked_mul(r.u64(), grid.chunk[d]);
      if (!first) return image.corrupt(layout.address, "version 2 chunk B-tree", "a place overflows 64 bits");
      origin[d] = *first;
    }
    entry.origin = origin;
    return sink(entry);
  };
  const auto type = grid.filtered ? Btree2Type::filtered_chunk : Btree2Type::chunk;
  return visit_btree2(image, layout.address, type, element.bytes() + 8 * rank, add);
}

}  // namespace

Status visit_chunks(const Image& image, const Layout& layout, const ChunkGrid& grid, const ChunkSink& sink) {
  switch (layout.index) {
    case Layout::Index::btree1:
      return visit_chunk_btree1(image, layout.address, grid.shape.size(), sink);
    case Layout::Index::single:
      return visit_single(layout, grid, sink);
    case Layout::Index::implicit:
      return visit_implicit(image, layout, grid, sink);
    case Layout::Index::fixed_array:
      return visit_fixed_array(image, layout, grid, sink);
    case Layout::Index::extensible_array:
      return visit_extensible_array(image, layout, grid, sink);
    case Layout::Index::btree2:
      return visit_tree(image, layout, grid, sink);
  }
  return Status::internal("a chunk index of no kind");
}

}  // namespace penstock::hdf5
