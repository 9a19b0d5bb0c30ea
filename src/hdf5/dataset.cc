// A dataset is opened in three steps. parse() goes through the messages of the object header, in whatever
// order they come, and keeps those that say what the array is: dataspace (shape), datatype, layout (where the
// bytes are), filters and fill value. The layout then leads to set_unchunked() or set_chunked(), which
// compare what the messages claim with each other and with the file. For chunks, read_index() walks the index
// of the file once and packs what it finds into a store::ChunkIndex.
//
// Everything that could be wrong about a chunk's place is found here, at open: whether it lies in the file,
// whether as many stored bytes can become a whole chunk, whether all chunks together are more than the file.
// Whoever decodes a chunk later needs no check but those of the codecs.
#include "hdf5/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/checked.h"
#include "hdf5/chunk_index.h"
#include "hdf5/dataspace.h"
#include "hdf5/datatype.h"
#include "hdf5/fill_value.h"
#include "hdf5/filter_message.h"
#include "hdf5/fixed_string.h"
#include "hdf5/global_heap.h"
#include "hdf5/object_header.h"

namespace penstock::hdf5 {

Result<std::shared_ptr<const store::Node>> Dataset::open(Object object) {
  auto dataset = std::make_shared<Dataset>(std::move(object));
  Status status = dataset->parse();
  if (!status.ok()) return dataset->object_.locate(std::move(status));
  return std::shared_ptr<const store::Node>(std::move(dataset));
}

Status Dataset::parse() {
  const Image& image = *object_.image();
  file_ = image.file();
  budget_ = image.budget();
  std::optional<Dataspace> space;
  std::optional<store::DataType> type;
  std::optional<Layout> layout;
  std::optional<std::vector<StoredFilter>> filters;
  std::vector<std::byte> fill;
  bool new_fill = false;
  const auto visit = [&](const Message& m, bool&) -> Status {
    // Two messages of a kind: libhdf5 would take one of them, and nobody can say which one the writer meant.
    const auto once = [&](bool seen, std::string_view what) {
      return seen ? image.corrupt(m.address, what, "the dataset has two") : Status();
    };
    // A shared message is a reference to where the message is. Of those only datatypes are followed, which
    // people do share under a name of their own.
    const auto own = [&](std::string_view what) {
      return m.shared() ? image.unsupported(m.address, what) : Status();
    };
    switch (m.type) {
      case MessageType::dataspace: {
        PENSTOCK_RETURN_IF_ERROR(once(space.has_value(), "dataspace message"));
        PENSTOCK_RETURN_IF_ERROR(own("HDF5 shared dataspace"));
        PENSTOCK_ASSIGN_OR_RETURN(space, parse_dataspace(image, m.body, m.address));
        return {};
      }
      case MessageType::datatype: {
        PENSTOCK_RETURN_IF_ERROR(once(type.has_value(), "datatype message"));
        PENSTOCK_ASSIGN_OR_RETURN(type, resolve_datatype(image, m.body, m.shared(), m.address));
        return {};
      }
      case MessageType::layout: {
        PENSTOCK_RETURN_IF_ERROR(once(layout.has_value(), "layout message"));
        PENSTOCK_RETURN_IF_ERROR(own("HDF5 shared layout"));
        PENSTOCK_ASSIGN_OR_RETURN(layout, parse_layout(image, m.body, m.address));
        return {};
      }
      case MessageType::filter_pipeline: {
        PENSTOCK_RETURN_IF_ERROR(once(filters.has_value(), "filter pipeline message"));
        PENSTOCK_RETURN_IF_ERROR(own("HDF5 shared filter pipeline"));
        PENSTOCK_ASSIGN_OR_RETURN(filters, parse_filters(image, m.body, m.address));
        return {};
      }
      case MessageType::old_fill_value:
      case MessageType::fill_value: {
        // Writers that store both mean the new one.
        if (new_fill && m.type == MessageType::old_fill_value) return {};
        PENSTOCK_RETURN_IF_ERROR(own("HDF5 shared fill value"));
        new_fill |= m.type == MessageType::fill_value;
        PENSTOCK_ASSIGN_OR_RETURN(fill, parse_fill_value(image, m));
        return {};
      }
      case MessageType::external_files:
        return image.unsupported(
            m.address, "HDF5 external file list",
            "its values lie in other files: h5repack FILE NEW_FILE brings them into one");
      default:
        return {};
    }
  };
  PENSTOCK_RETURN_IF_ERROR(visit_messages(image, object_.header(), visit));
  // Fill value and filters have defaults: zeros and none.
  const auto need = [&](bool there, std::string_view what) {
    return there
               ? Status()
               : image.corrupt(object_.header(), "object header", fmt::format("the dataset has no {}", what));
  };
  PENSTOCK_RETURN_IF_ERROR(need(space.has_value(), "dataspace"));
  PENSTOCK_RETURN_IF_ERROR(need(type.has_value(), "datatype"));
  PENSTOCK_RETURN_IF_ERROR(need(layout.has_value(), "layout"));

  shape_ = std::move(space->dims);
  most_ = std::move(space->most);
  size_ = space->elements;
  dtype_ = std::move(*type);
  // From here on size_ * dtype_.size is computed without a check.
  if (!checked_mul(size_, dtype_.size)) {
    return image.corrupt(object_.header(), "dataspace message",
                         fmt::format("{} elements of {} bytes overflow 64 bits", size_, dtype_.size));
  }
  PENSTOCK_RETURN_IF_ERROR(set_fill(std::move(fill)));
  if (layout->kind != Layout::Kind::chunked) return set_unchunked(std::move(*layout));
  // Only chunks have filters. A pipeline in the header of another dataset means nothing.
  PENSTOCK_ASSIGN_OR_RETURN(auto read,
                            filters_of(filters ? std::move(*filters) : std::vector<StoredFilter>()));
  PENSTOCK_ASSIGN_OR_RETURN(filters_, FilterPipeline::create(std::move(read), dtype_.size));
  return set_chunked(*layout);
}

// Keeps a fill value only where it is one, in native byte order: without it, elements that were never written
// are zeros, which needs no bytes. Of records and unread types nobody asks for elements.
Status Dataset::set_fill(std::vector<std::byte> stored) {
  if (stored.empty() || dtype_.cls == store::TypeClass::compound || dtype_.cls == store::TypeClass::other)
    return {};
  if (stored.size() != dtype_.size) {
    return object_.image()->corrupt(object_.header(), "fill value message",
                                    fmt::format("expected {} bytes, found {}", dtype_.size, stored.size()));
  }
  if (dtype_.big_endian) std::reverse(stored.begin(), stored.end());
  if (std::any_of(stored.begin(), stored.end(), [](std::byte b) { return b != std::byte{0}; }))
    fill_ = std::move(stored);
  return {};
}

// Compact data are part of the header, contiguous data lie in one piece. An address that is undefined means
// that nothing was ever written, as with arrays of length 0: then every element is the fill value.
Status Dataset::set_unchunked(Layout layout) {
  const Image& image = *object_.image();
  const ByteCount bytes = size_ * dtype_.size;
  if (layout.kind == Layout::Kind::compact) {
    if (layout.compact.size() < bytes) {
      return image.corrupt(
          object_.header(), "layout message",
          fmt::format("compact data: expected {} bytes, found {}", bytes, layout.compact.size()));
    }
    // The message may be longer than the data, as messages are padded.
    layout.compact.resize(bytes);
    compact_ = std::move(layout.compact);
    stored_bytes_ = bytes;
    return {};
  }
  if (layout.address == kUndefined || bytes == 0) return {};
  if (layout.has_contiguous_bytes && layout.contiguous_bytes < bytes) {
    return image.corrupt(layout.address, "contiguous data",
                         fmt::format("expected {} bytes, the layout has {}", bytes, layout.contiguous_bytes));
  }
  if (!image.contains(layout.address, bytes)) {
    return image.corrupt(layout.address, "contiguous data",
                         fmt::format("{} bytes run past the end of the file", bytes));
  }
  allocated_ = true;
  contiguous_offset_ = image.position(layout.address);
  stored_bytes_ = bytes;
  return {};
}

Status Dataset::set_chunked(const Layout& layout) {
  const Image& image = *object_.image();
  const auto fail = [&](std::string_view detail) {
    return image.corrupt(object_.header(), "layout message", detail);
  };
  const std::size_t rank = shape_.size();
  if (layout.chunk.size() != rank) {
    return fail(fmt::format("chunks of rank {} in an array of rank {}", layout.chunk.size(), rank));
  }
  if (layout.element_bytes != dtype_.size) {
    return fail(fmt::format("elements of {} bytes, the datatype has {}", layout.element_bytes, dtype_.size));
  }
  // The size of a decoded chunk, and the number of chunks along each axis. A shape of (100, 30) in chunks of
  // (40, 16) has a grid of 3 x 2. Chunks at the edge are as large as the others: their last elements lie
  // outside of the array.
  ByteCount chunk_bytes = dtype_.size;
  std::uint64_t chunks = 1;
  std::vector<std::uint64_t> grid;
  for (std::size_t d = 0; d < rank; ++d) {
    const auto bytes = checked_mul(chunk_bytes, layout.chunk[d]);
    if (!bytes) return fail("the size of a chunk overflows 64 bits");
    // Larger chunks are legal from layout version 5 on only, and our index keeps stored sizes in 32 bits.
    if (*bytes > ~std::uint32_t{0}) {
      if (layout.version < 5) return fail("a chunk of 4 GiB or more");
      return image.unsupported(object_.header(),
                               fmt::format("HDF5 chunk of {} or more", format_bytes(*bytes)),
                               "rewrite the dataset with smaller chunks: h5repack -l CHUNK=100000 FILE NEW");
    }
    chunk_bytes = *bytes;
    grid.push_back(ceil_div(shape_[d], layout.chunk[d]));
    const auto product = checked_mul(chunks, grid.back());
    if (!product) return fail("the number of chunks overflows 64 bits");
    chunks = *product;
  }
  chunked_ = true;
  chunk_shape_ = layout.chunk;
  chunk_elements_ = chunk_bytes / dtype_.size;
  n_chunks_ = chunks;
  if (layout.address == kUndefined || chunks == 0) return {};
  return read_index(layout, grid);
}

// What a chunk claims, before anything is allocated for it. Bit i of the mask is set where filter i was
// skipped. With all of them skipped the stored bytes are the chunk itself. Else the filters know how far they
// can inflate or compress: 100 bytes of deflate can never become 1 MB, so such a chunk is refused here.
Status Dataset::check_chunk(std::uint64_t number, ByteOffset offset, std::uint64_t stored,
                            std::uint32_t mask) const {
  const auto fail = [&](std::string_view detail) {
    return Status::corrupt(fmt::format("chunk {} at byte 0x{:x}: {}", number, offset, detail));
  };
  const ByteCount decoded = chunk_bytes();
  if (stored == 0) return fail("is stored in 0 bytes");
  const std::size_t n = filters_.filters().size();
  // A shift by 32 is undefined, and 32 filters are legal.
  const std::uint32_t all = n >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << n) - 1;
  if ((mask & all) == all) {
    if (stored != decoded)
      return fail(fmt::format("unfiltered: expected {} bytes, found {}", decoded, stored));
    return {};
  }
  if (stored > filters_.max_stored(decoded)) {
    return fail(fmt::format("{} stored bytes are more than {} decoded ones can take", stored, decoded));
  }
  if (decoded > filters_.max_decoded(stored, mask)) {
    return fail(fmt::format("{} stored bytes cannot become {}", stored, decoded));
  }
  return {};
}

Status Dataset::read_index(const Layout& layout, const std::vector<std::uint64_t>& grid) {
  const Image& image = *object_.image();
  store::ChunkIndexBuilder index(fmt::format("a table of {} chunks", format_count(n_chunks_)), n_chunks_,
                                 *budget_);
  // Before the walk: a grid that no budget has room for is refused before its index is read.
  PENSTOCK_RETURN_IF_ERROR(index.start());
  const auto add = [&](const ChunkEntry& c) -> Status {
    // Row-major in the grid of the present shape: of the example above, the chunk with origin (80, 16) is at
    // (2, 1) of the grid, so it has number 2 * 2 + 1 = 5. It reaches over the edge along both axes.
    std::uint64_t number = 0;
    bool inside = true, over_edge = false;
    for (std::size_t d = 0; d < grid.size(); ++d) {
      if (c.origin[d] % chunk_shape_[d] != 0) {
        return image.corrupt(layout.address, "chunk B-tree",
                             fmt::format("a chunk begins at {} in dimension {}, not at a multiple of {}",
                                         c.origin[d], d, chunk_shape_[d]));
      }
      const std::uint64_t at = c.origin[d] / chunk_shape_[d];
      over_edge = over_edge || shape_[d] - std::min(c.origin[d], shape_[d]) < chunk_shape_[d];
      inside = inside && at < grid[d];  // chunks outside are what a shrunk dataset left behind
      if (inside) number = number * grid[d] + at;
    }
    if (!inside || c.address == kUndefined) return {};
    if (!image.contains(c.address, c.stored)) {
      return Status::corrupt(
          fmt::format("chunk {} at byte 0x{:x}: {} bytes run past the end of the file ({} bytes)", number,
                      image.superblock().base + c.address, c.stored, file_->size()));
    }
    const ByteOffset offset = image.position(c.address);
    // The mask of such chunks is 0: the geometry says that they have no filters.
    const std::uint32_t mask = layout.edges_unfiltered && over_edge ? ~std::uint32_t{0} : c.mask;
    PENSTOCK_RETURN_IF_ERROR(check_chunk(number, offset, c.stored, mask));
    if (c.stored > ~std::uint32_t{0}) {
      return Status::corrupt(
          fmt::format("chunk {} at byte 0x{:x}: is stored in {} bytes", number, offset, c.stored));
    }
    stored_bytes_ += c.stored;
    // Each chunk lies in the file, but many may claim the same bytes. A file of 1 MB could ask for terabytes.
    if (stored_bytes_ > image.size()) {
      return Status::corrupt(fmt::format(
          "chunk {} at byte 0x{:x}: chunks overlap: they have more bytes than the file", number, offset));
    }
    return index.add(number, {.offset = offset, .stored = c.stored, .mask = mask, .present = true});
  };
  const ChunkGrid of{.shape = shape_,
                     .most = most_,
                     .chunk = chunk_shape_,
                     .chunk_bytes = chunk_bytes(),
                     .filtered = !filters_.empty()};
  PENSTOCK_RETURN_IF_ERROR(visit_chunks(image, layout, of, add));
  PENSTOCK_ASSIGN_OR_RETURN(index_, index.finish());
  return {};
}

Result<std::vector<std::string>> Dataset::read_strings(std::uint64_t first, std::uint64_t count) const {
  const bool vlen = dtype_.cls == store::TypeClass::vlen_string;
  if (!vlen && dtype_.cls != store::TypeClass::fixed_string) {
    return object_.locate(Status::invalid_argument(fmt::format("holds {}, not strings", dtype_.description)));
  }
  if (first > size_ || count > size_ - first) {
    return object_.locate(Status::invalid_argument(
        fmt::format("strings [{}, {}) are not in [0, {})", first, first + count, size_)));
  }
  const Image& image = *object_.image();
  StringReader strings(image);
  // The range counts in C order, which is the order on disk only for these.
  const bool flat = !chunked_ || shape_.size() <= 1;
  // Chunked arrays of a higher rank are read whole: their C order is not the order of their chunks.
  const std::uint64_t elements = flat ? count : size_;
  Status counted = strings.charge(elements * dtype_.size);
  if (!counted.ok()) return object_.locate(std::move(counted));
  std::vector<std::byte> raw;
  if (flat) {
    raw.resize(count * dtype_.size);
    PENSTOCK_RETURN_IF_ERROR(read_range(first, count, raw));
  } else {
    PENSTOCK_ASSIGN_OR_RETURN(raw, read_all(size_ * dtype_.size));
  }
  const auto wanted =
      std::span<const std::byte>(raw).subspan(flat ? 0 : first * dtype_.size, count * dtype_.size);

  return decode_strings(strings, wanted, dtype_);
}

// `strings` has counted what its caller holds beside them: together they stay inside of its limit.
Result<std::vector<std::string>> Dataset::decode_strings(StringReader& strings,
                                                         std::span<const std::byte> elements,
                                                         const store::DataType& type) const {
  std::vector<std::string> out;
  const std::uint64_t count = type.size == 0 ? 0 : elements.size() / type.size;
  if (type.cls == store::TypeClass::vlen_string) {
    Status status = strings.read(elements, count, object_.header(), out);
    if (!status.ok()) return object_.locate(std::move(status));
    return out;
  }
  Status counted = strings.charge(count * (sizeof(std::string) + type.size));
  if (!counted.ok()) return object_.locate(std::move(counted));
  out.reserve(count);
  ByteReader r(elements);
  for (std::uint64_t i = 0; i < count; ++i)
    out.push_back(fixed_string(r.chars(type.size), type.space_padded));
  return out;
}

}  // namespace penstock::hdf5
