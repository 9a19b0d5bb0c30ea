// The layout message: how the bytes of a dataset are stored, and where. From version 3 on:
//
//     compact       version | 0 | bytes u16 | data
//     contiguous    version | 1 | address O | bytes L
//     chunked       3 | 2 | rank + 1 u8 | B-tree O | chunk dimensions u32, the last one the element size
//                   4 or 5 | 2 | flags | rank + 1 u8 | width u8 | dimensions | index type | ... | address O
//     virtual       version | 3 | ...
//
// Two examples, a new dataset in chunks of 1,024 float32 without any chunk yet, and one in chunks of 7 under
// an extensible array:
//
//     03 02 02 ffffffffffffffff 00040000 04000000
//     05 02 00 02 01 07 04 | 04 | 20 04 04 10 0a | address
//
// Numbers are taken as they are, but for what would break a reader at once: dimensions of 0, and ranks above
// 32. Whether they suit dataspace and datatype is checked where all three are known (dataset.cc).
#include "hdf5/layout.h"

#include <fmt/format.h>

#include "hdf5/dataspace.h"

namespace penstock::hdf5 {
namespace {

constexpr std::string_view kWhat = "layout message";

enum : unsigned { kCompact = 0, kContiguous = 1, kChunked = 2, kVirtual = 3 };

// `stored_rank` dimensions of 4 bytes, the last one the element size.
Status read_chunk_dims(const Image& image, ByteReader& r, unsigned stored_rank, Address at, Layout& layout) {
  // A scalar cannot be chunked, so there is always a dimension before the element size.
  if (stored_rank < 2 || stored_rank > kMaxRank + 1) {
    return image.corrupt(at, kWhat, fmt::format("chunk rank {}", static_cast<int>(stored_rank) - 1));
  }
  for (unsigned d = 0; d + 1 < stored_rank; ++d) {
    const std::uint32_t n = r.u32();
    if (n == 0 && !r.failed()) return image.corrupt(at, kWhat, fmt::format("chunk dimension {} is 0", d));
    layout.chunk.push_back(n);
  }
  layout.element_bytes = r.u32();
  return {};
}

Status copy_compact(const Image& image, ByteReader& r, std::uint64_t bytes, Address at, Layout& layout) {
  if (bytes > r.remaining()) {
    return image.corrupt(
        at, kWhat, fmt::format("compact data of {} bytes in a message with {} left", bytes, r.remaining()));
  }
  const auto data = r.bytes(bytes);
  layout.compact.assign(data.begin(), data.end());
  return {};
}

// Versions 1 and 2: one shape for all classes; the dimensions of unchunked ones repeat the dataspace.
//
//     version | rank | class | 5 reserved | [address O] | dimensions u32 | [compact: bytes u32 | data]
Result<Layout> parse_old(const Image& image, ByteReader& r, Address at) {
  Layout layout;
  const unsigned rank = r.u8(), cls = r.u8();
  r.skip(5);
  if (cls > kChunked) return image.corrupt(at, kWhat, fmt::format("unknown class {}", cls));
  if (cls != kCompact) layout.address = image.address(r);
  if (cls == kChunked) {
    layout.kind = Layout::Kind::chunked;
    PENSTOCK_RETURN_IF_ERROR(read_chunk_dims(image, r, rank, at, layout));
  } else {
    if (rank > kMaxRank + 1) return image.corrupt(at, kWhat, fmt::format("rank {}", rank));
    r.skip(4 * rank);
    if (cls == kCompact) {
      layout.kind = Layout::Kind::compact;
      const std::uint32_t bytes = r.u32();
      PENSTOCK_RETURN_IF_ERROR(copy_compact(image, r, bytes, at, layout));
    }
  }
  if (r.failed()) return image.corrupt(at, kWhat, "truncated");
  return layout;
}

// Versions 4 and 5, chunked: flags | rank + 1 | width of dimensions | dimensions, the last one the element size
// | index type | what the index needs | address. The parameters of arrays and trees are in their own headers,
// too, and read there.
Status read_indexed(const Image& image, ByteReader& r, Address at, Layout& layout) {
  const unsigned flags = r.u8(), stored_rank = r.u8(), width = r.u8();
  if (stored_rank < 2 || stored_rank > kMaxRank + 1) {
    return image.corrupt(at, kWhat, fmt::format("chunk rank {}", static_cast<int>(stored_rank) - 1));
  }
  if (width == 0 || width > 8)
    return image.corrupt(at, kWhat, fmt::format("chunk dimensions of {} bytes", width));
  for (unsigned d = 0; d + 1 < stored_rank; ++d) {
    const std::uint64_t n = r.uint(width);
    if (n == 0 && !r.failed()) return image.corrupt(at, kWhat, fmt::format("chunk dimension {} is 0", d));
    layout.chunk.push_back(n);
  }
  layout.element_bytes = r.uint(width);
  // A writer's choice that spares it from compressing padding. Nothing else marks these chunks: see the mask
  // in Dataset::read_index().
  layout.edges_unfiltered = (flags & 1) != 0;
  const unsigned index = r.u8();
  switch (index) {
    case 1:
      layout.index = Layout::Index::single;
      layout.single_filtered = (flags & 2) != 0;
      if (layout.single_filtered) {
        layout.single_stored = image.length(r);
        layout.single_mask = r.u32();
      }
      break;
    case 2:
      layout.index = Layout::Index::implicit;
      break;
    case 3:
      layout.index = Layout::Index::fixed_array;
      r.skip(1);
      break;
    case 4:
      layout.index = Layout::Index::extensible_array;
      r.skip(5);
      break;
    case 5:
      layout.index = Layout::Index::btree2;
      r.skip(6);
      break;
    default:
      return image.corrupt(at, kWhat, fmt::format("unknown chunk index type {}", index));
  }
  layout.address = image.address(r);
  return {};
}

}  // namespace

Result<Layout> parse_layout(const Image& image, std::span<const std::byte> body, Address at) {
  ByteReader r(body);
  const unsigned version = r.u8();
  if (version == 1 || version == 2) return parse_old(image, r, at);
  if (version < 3 || version > 5) {
    return image.corrupt(at, kWhat, fmt::format("expected version 1 to 5, found {}", version));
  }
  Layout layout;
  layout.version = version;
  const unsigned cls = r.u8();
  switch (cls) {
    case kCompact: {
      layout.kind = Layout::Kind::compact;
      const std::uint16_t bytes = r.u16();
      PENSTOCK_RETURN_IF_ERROR(copy_compact(image, r, bytes, at, layout));
      break;
    }
    case kContiguous:
      layout.address = image.address(r);
      layout.contiguous_bytes = image.length(r);
      layout.has_contiguous_bytes = true;
      break;
    case kChunked: {
      layout.kind = Layout::Kind::chunked;
      if (version >= 4) {
        PENSTOCK_RETURN_IF_ERROR(read_indexed(image, r, at, layout));
        break;
      }
      const unsigned rank = r.u8();
      layout.address = image.address(r);
      PENSTOCK_RETURN_IF_ERROR(read_chunk_dims(image, r, rank, at, layout));
      break;
    }
    case kVirtual:
      return image.unsupported(at, "HDF5 virtual dataset",
                               "its values lie in other datasets: copy them into a new one with h5py, "
                               "new_file[NAME] = file[NAME][:]");
    default:
      return image.corrupt(at, kWhat, fmt::format("unknown class {}", cls));
  }
  if (r.failed()) return image.corrupt(at, kWhat, "truncated");
  return layout;
}

}  // namespace penstock::hdf5
