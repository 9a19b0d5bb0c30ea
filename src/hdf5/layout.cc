#include "hdf5/layout.h"

#include <fmt/format.h>

#include "hdf5/dataspace.h"

namespace penstock::hdf5 {
namespace {

constexpr std::string_view kWhat = "layout message";

enum : unsigned { kCompact = 0, kContiguous = 1, kChunked = 2, kVirtual = 3 };

// `stored_rank` dimensions of 4 bytes, the last one the element size.
Status read_chunk_dims(const Image& image, ByteReader& r, unsigned stored_rank, Address at, Layout& layout) {
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

// Versions 4 and 5, chunked: only to say which index it is, and where.
Status name_new_index(const Image& image, ByteReader& r, Address at) {
  const unsigned flags = r.u8(), rank = r.u8(), width = r.u8();
  if (width == 0 || width > 8)
    return image.corrupt(at, kWhat, fmt::format("chunk dimensions of {} bytes", width));
  r.skip(std::size_t{rank} * width);
  const unsigned index = r.u8();
  std::string_view name;
  switch (index) {
    case 1:
      name = "HDF5 single-chunk index";
      if (flags & 2) r.skip(image.superblock().length_size + 4u);
      break;
    case 2:
      name = "HDF5 implicit chunk index";
      break;
    case 3:
      name = "HDF5 fixed-array chunk index";
      r.skip(1);
      break;
    case 4:
      name = "HDF5 extensible-array chunk index";
      r.skip(5);
      break;
    case 5:
      name = "HDF5 version 2 B-tree chunk index";
      r.skip(6);
      break;
    default:
      return image.corrupt(at, kWhat, fmt::format("unknown chunk index type {}", index));
  }
  const Address address = image.address(r);
  if (r.failed()) return image.corrupt(at, kWhat, "truncated");
  return image.unsupported(address, name);
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
      if (version >= 4) return name_new_index(image, r, at);
      layout.kind = Layout::Kind::chunked;
      const unsigned rank = r.u8();
      layout.address = image.address(r);
      PENSTOCK_RETURN_IF_ERROR(read_chunk_dims(image, r, rank, at, layout));
      break;
    }
    case kVirtual:
      return image.unsupported(at, "HDF5 virtual dataset");
    default:
      return image.corrupt(at, kWhat, fmt::format("unknown class {}", cls));
  }
  if (r.failed()) return image.corrupt(at, kWhat, "truncated");
  return layout;
}

}  // namespace penstock::hdf5
