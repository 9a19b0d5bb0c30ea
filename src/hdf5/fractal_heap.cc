// A fractal heap is a space of bytes that grows: an object has an id, and the id of most says at which offset
// of that space it begins, and how long it is. The space is cut into blocks, row by row in a table. All rows
// have equally many blocks; rows 0 and 1 have the smallest ones, and each further row doubles them. So a
// small heap is one block, and a large one needs few. With what libhdf5 writes for links, 4 blocks a row from
// 512 bytes on:
//
//     row 0    4 blocks of  512 bytes    offsets     0 to  2047
//     row 1    4 blocks of  512 bytes    offsets  2048 to  4095
//     row 2    4 blocks of 1024 bytes    offsets  4096 to  8191
//     row 3    4 blocks of 2048 bytes    offsets  8192 to 16383
//
// Offset 5,500 is in row 2, in its second block, at byte 5500 - 4096 - 1024 = 380 of that. Blocks beyond the
// largest direct size (64 KiB: row 9) are tables of their own, cut in the same way. Offsets count the heads
// of blocks, too, so no object begins before byte 17 or 21 of a block.
//
// A block is verified as a whole when it is first needed, and from then on only an object's bytes are read,
// through the page cache. The set of verified blocks and the sums of bytes are also what ends a walk through
// a file whose blocks overlap.
#include "hdf5/fractal_heap.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "hdf5/btree2.h"
#include "hdf5/checksum.h"

namespace penstock::hdf5 {
namespace {

constexpr std::string_view kWhat = "fractal heap";
constexpr std::string_view kBlock = "fractal heap block";
constexpr std::size_t kSeenBytes = 64;  // of one entry in the set of verified blocks

unsigned log2_of(std::uint64_t v) { return static_cast<unsigned>(std::bit_width(v)) - 1; }

}  // namespace

FractalHeap::FractalHeap(const Image& image, Address header)
    : image_(&image), header_(header), memory_("a fractal heap", *image.budget(), MemoryTag::index) {}

Result<FractalHeap> FractalHeap::open(const Image& image, Address header) {
  FractalHeap heap(image, header);
  PENSTOCK_RETURN_IF_ERROR(heap.read_header());
  PENSTOCK_RETURN_IF_ERROR(heap.check_table());
  return heap;
}

// "FRHP" | version 0 | id bytes u16 | filter bytes u16 | flags | largest managed object u32 | next huge id L |
// tree of huge objects O | free space L | its manager O | 8 statistics L | table width u16 | first block L |
// largest direct block L | heap bits u16 | first rows u16 | root O | rows of the root u16 | checksum.
Status FractalHeap::read_header() {
  const Image& image = *image_;
  const unsigned O = image.superblock().offset_size, L = image.superblock().length_size;
  std::array<std::byte, 22 + 12 * 8 + 3 * 8 + kChecksumBytes> bytes;
  const auto head = std::span(bytes).first(22u + 12u * L + 3u * O + kChecksumBytes);
  PENSTOCK_RETURN_IF_ERROR(image.read(header_, head, kWhat));
  ByteReader r(head);
  if (!r.match("FRHP")) return image.corrupt(header_, kWhat, "expected signature FRHP");
  const unsigned version = r.u8();
  if (version != 0)
    return image.corrupt(header_, kWhat, fmt::format("expected version 0, found {}", version));
  id_bytes_ = r.u16();
  // With filters the header is longer, and its checksum elsewhere.
  if (const unsigned filters = r.u16(); filters != 0) {
    return image.unsupported(header_, "HDF5 fractal heap with filters (compressed links or attributes)");
  }
  PENSTOCK_RETURN_IF_ERROR(verify_checksum(image, head, header_, kWhat));
  direct_checksums_ = (r.u8() & 2) != 0;
  most_managed_ = r.u32();
  image.length(r);
  huge_tree_ = image.address(r);
  image.length(r);
  image.address(r);
  r.skip(8 * std::size_t{L});
  table_width_ = r.u16();
  first_block_ = image.length(r);
  largest_direct_ = image.length(r);
  heap_bits_ = r.u16();
  // How many rows an indirect root had at first. It may have more by now: see the rows of the root.
  r.skip(2);
  root_ = image.address(r);
  root_rows_ = r.u16();
  return r.failed() ? image.corrupt(header_, kWhat, "truncated") : Status();
}

// The arithmetic of managed() takes logarithms for divisions, and shifts by rows: the powers of two are asked
// for by the specification, and the other bounds keep each shift below 64 bits.
Status FractalHeap::check_table() const {
  const auto power = [](std::uint64_t v) { return std::has_single_bit(v); };
  if (!power(table_width_) || !power(first_block_) || !power(largest_direct_) ||
      first_block_ > largest_direct_ || heap_bits_ == 0 || heap_bits_ > 64 || id_bytes_ == 0) {
    return image_->corrupt(
        header_, kWhat,
        fmt::format("a table of {} blocks from {} to {} bytes, {} bits and ids of {} bytes", table_width_,
                    first_block_, largest_direct_, heap_bits_, id_bytes_));
  }
  if (log2_of(table_width_) + log2_of(largest_direct_) > 62 || root_rows_ > 64) {
    return image_->corrupt(header_, kWhat, fmt::format("impossible table: {} rows", root_rows_));
  }
  return {};
}

Result<FractalHeap::Object> FractalHeap::object(std::span<const std::byte> id) {
  // Byte 0 of an id: version in bits 6 and 7, kind in bits 4 and 5, and of tiny objects the length.
  const unsigned first = id.empty() ? 0xffU : std::to_integer<unsigned>(id[0]);
  if (id.size() != id_bytes_ || first >> 6 != 0) {
    return image_->corrupt(header_, kWhat,
                           fmt::format("an id of {} bytes, version {}", id.size(), first >> 6));
  }
  Place place;
  switch (first >> 4 & 3) {
    case 0: {
      PENSTOCK_ASSIGN_OR_RETURN(place, managed(id));
      break;
    }
    case 1: {
      PENSTOCK_ASSIGN_OR_RETURN(place, huge(id));
      break;
    }
    // The object itself is in the id, behind its length less 1.
    case 2: {  // with long ids the length has 12 bits
      const bool extended = id_bytes_ > 17;
      std::size_t bytes = first & 15;
      if (extended) bytes = bytes << 8 | std::to_integer<std::size_t>(id[1]);
      const auto rest = id.subspan(extended ? 2 : 1);
      if (++bytes > rest.size()) {
        return image_->corrupt(header_, kWhat, fmt::format("a tiny object of {} bytes in its id", bytes));
      }
      object_.assign(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(bytes));
      return Object{object_, kUndefined};
    }
    default:
      return image_->corrupt(header_, kWhat, "an object of unknown kind");
  }
  // Many ids may name the same bytes, and each visitor parses what it gets. A heap without such tricks hands
  // out each of its objects once.
  if (place.bytes > image_->size() - handed_out_) {
    return image_->corrupt(header_, kWhat, "objects overlap: more bytes than the file has");
  }
  handed_out_ += place.bytes;
  if (place.bytes > object_.size()) {
    PENSTOCK_RETURN_IF_ERROR(memory_.add(place.bytes - object_.size()));
    object_.resize(place.bytes);
  }
  const auto out = std::span(object_).first(place.bytes);
  PENSTOCK_RETURN_IF_ERROR(image_->read(place.address, out, "fractal heap object"));
  return Object{out, place.address};
}

// Managed id: kind | offset | length. The offset counts through all blocks as if they lay in a row, heads
// included; its row and column in the table follow from its size (see the example at the head of this file).
// Each turn of the loop goes through one table, and offset and begin move along: `offset` becomes relative to
// the block that was found, `begin` stays that block's place in the heap, which the block itself repeats.
Result<FractalHeap::Place> FractalHeap::managed(std::span<const std::byte> id) {
  const Image& image = *image_;
  ByteReader r(id);
  r.skip(1);
  std::uint64_t offset = r.uint(offset_bytes());
  // As wide as needed for the largest object that can be there: it fits in a direct block, and is not above
  // the limit for managed ones. 2 bytes for 64 KiB and 4 KiB.
  const std::size_t length_bytes = std::min((log2_of(largest_direct_) + 7) / 8,
                                            most_managed_ == 0 ? 8U : (log2_of(most_managed_) + 7) / 8);
  const std::uint64_t length = r.uint(length_bytes);
  const auto fail = [&](std::string_view why) {
    return image.corrupt(header_, kWhat, fmt::format("an object of {} bytes {}", length, why));
  };
  if (r.failed() || length == 0) return fail("has no place");
  if (root_ == kUndefined) return fail("in a heap without blocks");

  const std::uint64_t row_bytes = first_block_ * table_width_;
  // Rows of direct blocks: from 512 to 65,536 bytes there are 8 sizes, and the first one has two rows.
  const unsigned direct_rows = log2_of(largest_direct_) - log2_of(first_block_) + 2;
  Address block = root_;
  std::uint64_t begin = 0, block_bytes = first_block_;  // begin: of `block` in the heap
  for (std::uint64_t rows = root_rows_; rows > 0;) {
    PENSTOCK_RETURN_IF_ERROR(verify_indirect(block, begin, rows));
    const unsigned row = offset < row_bytes ? 0 : log2_of(offset / row_bytes) + 1;
    if (row >= rows) return fail("lies outside of the blocks");
    block_bytes = first_block_ << (row == 0 ? 0 : row - 1);
    const std::uint64_t row_begin = row == 0 ? 0 : row_bytes << (row - 1);
    const std::uint64_t column = (offset - row_begin) / block_bytes;
    // One address out of the table, through the page cache. The table as a whole was verified, and is not
    // kept.
    std::array<std::byte, 8> bytes;
    const auto entry = std::span(bytes).first(image.superblock().offset_size);
    const Address at = block + block_head() + (row * table_width_ + column) * entry.size();
    PENSTOCK_RETURN_IF_ERROR(image.read(at, entry, kBlock));
    ByteReader e(entry);
    block = image.address(e);
    if (block == kUndefined) return fail("lies in a block that is not there");
    begin += row_begin + column * block_bytes;
    offset -= row_begin + column * block_bytes;
    if (row < direct_rows) {
      rows = 0;
    } else {
      // A block of indirect kind has as many rows as make up its size: fewer than the one above.
      const std::uint64_t below = log2_of(block_bytes) - log2_of(row_bytes) + 1;
      if (below >= rows) return fail("lies in a table that does not end");
      rows = below;
    }
  }
  PENSTOCK_RETURN_IF_ERROR(verify_direct(block, begin, block_bytes));
  const std::size_t head = block_head() + (direct_checksums_ ? kChecksumBytes : 0);
  if (offset < head || offset > block_bytes || length > block_bytes - offset) {
    return fail("does not lie within its block");
  }
  return Place{block + offset, length};
}

// Huge id: kind | address | length where they fit, else a number to be looked up in a tree of records address
// O | length L | number L.
Result<FractalHeap::Place> FractalHeap::huge(std::span<const std::byte> id) {
  const Image& image = *image_;
  const unsigned O = image.superblock().offset_size, L = image.superblock().length_size;
  ByteReader r(id);
  r.skip(1);
  Place place;
  if (id_bytes_ > O + L) {
    place.address = image.address(r);
    place.bytes = image.length(r);
  } else {
    PENSTOCK_RETURN_IF_ERROR(load_huge());
    const std::uint64_t number = r.uint(std::min<std::size_t>(id_bytes_ - 1, 8));
    const auto it = std::lower_bound(huge_->begin(), huge_->end(), number,
                                     [](const Huge& h, std::uint64_t n) { return h.number < n; });
    if (it == huge_->end() || it->number != number) {
      return image.corrupt(header_, kWhat, fmt::format("has no huge object {}", number));
    }
    place = it->place;
  }
  if (place.address == kUndefined || !image.contains(place.address, place.bytes)) {
    return image.corrupt(header_, kWhat,
                         fmt::format("a huge object of {} bytes runs past the end of the file", place.bytes));
  }
  return place;
}

// All records at once, when the first id asks for one: there is one record for each attribute that is larger
// than some 4 KiB, and asking the tree each time would walk it each time.
Status FractalHeap::load_huge() {
  if (huge_) return {};
  const Image& image = *image_;
  if (huge_tree_ == kUndefined) return image.corrupt(header_, kWhat, "has no tree of huge objects");
  std::vector<Huge> found;
  const auto add = [&](std::span<const std::byte> record) -> Status {
    ByteReader r(record);
    Huge h;
    h.place.address = image.address(r);
    h.place.bytes = image.length(r);
    h.number = image.length(r);
    return memory_.push(found, h);
  };
  const std::size_t record = image.superblock().offset_size + 2u * image.superblock().length_size;
  PENSTOCK_RETURN_IF_ERROR(visit_btree2(image, huge_tree_, Btree2Type::huge_indirect, record, add));
  std::sort(found.begin(), found.end(), [](const Huge& a, const Huge& b) { return a.number < b.number; });
  huge_ = std::move(found);
  return {};
}

// "FHIB" | version 0 | heap header O | offset | addresses O, row by row | checksum.
Status FractalHeap::verify_indirect(Address block, std::uint64_t offset, std::uint64_t rows) {
  if (verified_.contains(block)) return {};
  const std::uint64_t entries = rows * table_width_;  // both are at most 16 bits
  return verify_block(block, offset,
                      block_head() + entries * image_->superblock().offset_size + kChecksumBytes, "FHIB");
}

// "FHDB" | version 0 | heap header O | offset | [checksum] | data.
Status FractalHeap::verify_direct(Address block, std::uint64_t offset, std::uint64_t bytes) {
  if (verified_.contains(block)) return {};
  return verify_block(block, offset, bytes, "FHDB");
}

Status FractalHeap::verify_block(Address block, std::uint64_t offset, std::uint64_t bytes,
                                 std::string_view signature) {
  const Image& image = *image_;
  // Sizes of direct blocks come from the table in the header, so they may be anything up to 2^62.
  if (!image.contains(block, bytes) || bytes < block_head() + kChecksumBytes) {
    return image.corrupt(block, kBlock, fmt::format("{} bytes do not fit in the file", bytes));
  }
  if (bytes > image.size() - verified_bytes_) {
    return image.corrupt(block, kBlock, "blocks overlap: more bytes than the file has");
  }
  verified_bytes_ += bytes;
  PENSTOCK_RETURN_IF_ERROR(memory_.add(bytes + kSeenBytes));
  std::vector<std::byte> all(bytes);
  PENSTOCK_RETURN_IF_ERROR(image.read(block, all, kBlock));
  ByteReader r(all);
  if (!r.match(signature)) {
    return image.corrupt(block, kBlock, fmt::format("expected signature {}", signature));
  }
  const unsigned version = r.u8();
  if (version != 0) return image.corrupt(block, kBlock, fmt::format("expected version 0, found {}", version));
  if (const Address heap = image.address(r); heap != header_) {
    return image.corrupt(block, kBlock, fmt::format("belongs to the heap at 0x{:x}", heap));
  }
  if (const std::uint64_t found = r.uint(offset_bytes()); found != offset) {
    return image.corrupt(block, kBlock, fmt::format("expected offset {}, found {}", offset, found));
  }
  if (signature == "FHIB") {
    PENSTOCK_RETURN_IF_ERROR(verify_checksum(image, all, block, kBlock));
  } else if (direct_checksums_) {
    // The checksum is in the middle, and 0 while it is computed.
    std::uint32_t stored = 0;
    std::byte* at = all.data() + block_head();
    std::memcpy(&stored, at, kChecksumBytes);
    std::memset(at, 0, kChecksumBytes);
    if (!checksum_matches(image.superblock().checksums, all, stored)) {
      return image.corrupt(
          block, kBlock,
          fmt::format("checksum 0x{:08x} is stored, the bytes have 0x{:08x}", stored, lookup3(all)));
    }
  }
  // The bytes are gone now; what stays reserved is the block's entry in the set.
  memory_.drop(bytes);
  verified_.insert(block);
  return {};
}

}  // namespace penstock::hdf5
