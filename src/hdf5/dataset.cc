#include "hdf5/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/checked.h"
#include "hdf5/chunk_btree.h"
#include "hdf5/dataspace.h"
#include "hdf5/datatype.h"
#include "hdf5/fill_value.h"
#include "hdf5/filter_message.h"
#include "hdf5/fixed_string.h"
#include "hdf5/global_heap.h"
#include "hdf5/object_header.h"
#include "memory/reserve_for.h"

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
  std::optional<std::vector<FilterSpec>> filters;
  std::vector<std::byte> fill;
  bool new_fill = false;
  const auto visit = [&](const Message& m, bool&) -> Status {
    const auto once = [&](bool seen, std::string_view what) {
      return seen ? image.corrupt(m.address, what, "the dataset has two") : Status();
    };
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
        return image.unsupported(m.address, "HDF5 external file list");
      default:
        return {};
    }
  };
  PENSTOCK_RETURN_IF_ERROR(visit_messages(image, object_.header(), visit));
  const auto need = [&](bool there, std::string_view what) {
    return there
               ? Status()
               : image.corrupt(object_.header(), "object header", fmt::format("the dataset has no {}", what));
  };
  PENSTOCK_RETURN_IF_ERROR(need(space.has_value(), "dataspace"));
  PENSTOCK_RETURN_IF_ERROR(need(type.has_value(), "datatype"));
  PENSTOCK_RETURN_IF_ERROR(need(layout.has_value(), "layout"));

  shape_ = std::move(space->dims);
  size_ = space->elements;
  dtype_ = std::move(*type);
  if (!checked_mul(size_, dtype_.size)) {
    return image.corrupt(object_.header(), "dataspace message",
                         fmt::format("{} elements of {} bytes overflow 64 bits", size_, dtype_.size));
  }
  PENSTOCK_RETURN_IF_ERROR(set_fill(std::move(fill)));
  if (layout->kind != Layout::Kind::chunked) return set_unchunked(std::move(*layout));
  PENSTOCK_ASSIGN_OR_RETURN(
      filters_,
      FilterPipeline::create(filters ? std::move(*filters) : std::vector<FilterSpec>(), dtype_.size));
  return set_chunked(*layout);
}

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

Status Dataset::set_unchunked(Layout layout) {
  const Image& image = *object_.image();
  const ByteCount bytes = size_ * dtype_.size;
  if (layout.kind == Layout::Kind::compact) {
    if (layout.compact.size() < bytes) {
      return image.corrupt(
          object_.header(), "layout message",
          fmt::format("compact data: expected {} bytes, found {}", bytes, layout.compact.size()));
    }
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
  ByteCount chunk_bytes = dtype_.size;
  std::uint64_t chunks = 1;
  std::vector<std::uint64_t> grid;
  for (std::size_t d = 0; d < rank; ++d) {
    const auto bytes = checked_mul(chunk_bytes, layout.chunk[d]);
    if (!bytes || *bytes > ~std::uint32_t{0}) return fail("a chunk of 4 GiB or more");
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
  return read_index(layout.address, grid);
}

Status Dataset::check_chunk(std::uint64_t number, ByteOffset offset, std::uint32_t stored,
                            std::uint32_t mask) const {
  const auto fail = [&](std::string_view detail) {
    return Status::corrupt(fmt::format("chunk {} at byte 0x{:x}: {}", number, offset, detail));
  };
  const ByteCount decoded = chunk_bytes();
  if (stored == 0) return fail("is stored in 0 bytes");
  const std::size_t n = filters_.filters().size();
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

Status Dataset::read_index(Address tree, const std::vector<std::uint64_t>& grid) {
  const Image& image = *object_.image();
  // An index that is there has at least one chunk; the table is sized by the current extent.
  const auto bytes = checked_mul(n_chunks_, sizeof(IndexEntry));
  if (!bytes) {
    return Status::budget(
        fmt::format("a chunk table of {} entries does not fit in memory", format_count(n_chunks_)));
  }
  ByteCount reserved = *bytes;
  auto reservation = budget_->reserve(MemoryTag::index, reserved);
  if (!reservation.ok()) {
    return std::move(reservation)
        .status()
        .with_context(fmt::format("a table of {} chunks", format_count(n_chunks_)));
  }
  index_reservation_ = std::move(reservation).value();
  index_.resize(n_chunks_);
  bool any = false;

  const auto add = [&](const ChunkEntry& c) -> Status {
    std::uint64_t number = 0;
    bool inside = true;
    for (std::size_t d = 0; d < grid.size(); ++d) {
      if (c.origin[d] % chunk_shape_[d] != 0) {
        return image.corrupt(tree, "chunk B-tree",
                             fmt::format("a chunk begins at {} in dimension {}, not at a multiple of {}",
                                         c.origin[d], d, chunk_shape_[d]));
      }
      const std::uint64_t at = c.origin[d] / chunk_shape_[d];
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
    PENSTOCK_RETURN_IF_ERROR(check_chunk(number, offset, c.stored, c.mask));
    IndexEntry& entry = index_[number];
    if (entry.stored != 0) {
      return Status::corrupt(fmt::format("chunk {} at byte 0x{:x}: the index has it twice", number, offset));
    }
    stored_bytes_ += c.stored;
    if (stored_bytes_ > image.size()) {
      return Status::corrupt(fmt::format(
          "chunk {} at byte 0x{:x}: chunks overlap: they have more bytes than the file", number, offset));
    }
    entry = {static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(offset >> 32), c.stored};
    any = true;
    if (c.mask != 0) {
      if (masks_.size() == masks_.capacity()) {
        const std::size_t capacity = std::max<std::size_t>(16, masks_.size() * 2);
        reserved = n_chunks_ * sizeof(IndexEntry) + capacity * sizeof(masks_[0]);
        PENSTOCK_RETURN_IF_ERROR(grow(index_reservation_, *budget_, MemoryTag::index, reserved));
        masks_.reserve(capacity);
      }
      masks_.emplace_back(number, c.mask);
    }
    return {};
  };
  PENSTOCK_RETURN_IF_ERROR(visit_chunks(image, tree, grid.size(), add));
  std::sort(masks_.begin(), masks_.end());
  if (!any) {
    index_ = {};
    index_reservation_.release();
  }
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

  std::vector<std::string> out;
  if (vlen) {
    Status status = strings.read(wanted, count, object_.header(), out);
    if (!status.ok()) return object_.locate(std::move(status));
    return out;
  }
  counted = strings.charge(count * (sizeof(std::string) + dtype_.size));
  if (!counted.ok()) return object_.locate(std::move(counted));
  out.reserve(count);
  ByteReader r(wanted);
  for (std::uint64_t i = 0; i < count; ++i)
    out.push_back(fixed_string(r.chars(dtype_.size), dtype_.space_padded));
  return out;
}

}  // namespace penstock::hdf5
