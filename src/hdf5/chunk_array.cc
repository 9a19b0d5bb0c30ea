// Chunk indexes of layout versions 4 and 5 that are arrays: element i says where chunk i lies.
//
// Chunks are numbered row-major in the grid of the largest extent, so that a dataset can grow without
// renumbering. A dataset of shape (60, 50) that may grow to (100, 200), in chunks of (7, 9), has 23 chunks in
// a row of the grid, for 200 / 9 is 22.2, and not 6 for its 50 columns: the chunk at origin (14, 27) is in
// row 2, column 3, and has number 2 * 23 + 3 = 49. An axis that may grow for ever cannot be a factor of that,
// so it counts as the slowest axis, wherever it stands in the shape.
//
// A fixed array is one block, which is cut into pages where it is long. An extensible array has blocks that
// double in size, so that appending never moves an element. See ExtensibleArray for where element i is.
//
// Every block is read whole and verified. Blocks hold addresses of each other, and a damaged or hostile file
// may point anywhere: load() is the one place through which all of them come, and it counts their bytes.
#include "hdf5/chunk_array.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <vector>

#include "base/checked.h"
#include "hdf5/checksum.h"
#include "hdf5/chunk_element.h"
#include "hdf5/dataspace.h"
#include "memory/growing.h"

namespace penstock::hdf5 {
namespace {

// What both kinds of arrays have in common: blocks with a head and a checksum, and elements with numbers.
class ArrayWalk {
 public:
  ArrayWalk(const Image& image, const Layout& layout, const ChunkGrid& grid, const ChunkSink& sink,
            std::string_view what)
      : image_(image),
        grid_(grid),
        sink_(sink),
        element_(image, layout, grid),
        header_(layout.address),
        what_(what),
        memory_("the chunk index", *image.budget(), MemoryTag::index),
        origin_(grid.shape.size()) {}

 protected:
  unsigned O() const { return image_.superblock().offset_size; }
  unsigned L() const { return image_.superblock().length_size; }
  Status corrupt(Address at, std::string_view detail) const { return image_.corrupt(at, what_, detail); }

  // The order of axes in which numbers count, the slowest first, and the chunks along each of them. An axis
  // without an end is the first one.
  Status set_axes(bool extensible) {
    // Layout version 4 takes a fixed array where no axis is endless, an extensible one where exactly one is,
    // and a B-tree where there are more, since with two endless axes chunks cannot be numbered.
    std::size_t endless = 0;
    for (std::size_t d = 0; d < grid_.most.size(); ++d) {
      const bool ends = grid_.most[d] != kUnlimited;
      endless += !ends;
      axes_.insert(ends ? axes_.end() : axes_.begin(), d);
    }
    if (endless != (extensible ? 1U : 0U)) {
      return corrupt(header_, fmt::format("{} dimensions of the array have no end", endless));
    }
    return {};
  }

  // Signature | version 0 | client u8 (1 with filters), of every structure of an array.
  Status check_start(ByteReader& r, std::string_view signature, Address at) const {
    if (!r.match(signature)) return corrupt(at, fmt::format("expected signature {}", signature));
    const unsigned version = r.u8(), client = r.u8();
    if (version != 0) return corrupt(at, fmt::format("expected version 0, found {}", version));
    // The kind decides how wide elements are. One that contradicts the dataset would shift every address.
    if (client != (grid_.filtered ? 1U : 0U)) {
      return corrupt(at, fmt::format("holds chunks of kind {}, the dataset has{} filters", client,
                                     grid_.filtered ? "" : " no"));
    }
    return {};
  }

  // Reads a structure with its checksum at the end. Of a block also the address of its header.
  Status load(Address at, ByteCount bytes, std::vector<std::byte>& out) {
    if (!image_.contains(at, bytes)) {
      return corrupt(at, fmt::format("{} bytes run past the end of the file", bytes));
    }
    if (bytes > image_.size() - visited_) return corrupt(at, "blocks overlap: more bytes than the file has");
    visited_ += bytes;
    if (bytes > out.capacity()) {
      PENSTOCK_RETURN_IF_ERROR(memory_.add(bytes - out.capacity()));
      out = std::vector<std::byte>();  // first, or both would be there while the new one is made
      out.reserve(bytes);
    }
    out.resize(bytes);
    PENSTOCK_RETURN_IF_ERROR(image_.read(at, out, what_));
    return verify_checksum(image_, out, at, what_);
  }

  // Every block names the array it belongs to. A stray address that points to a block of another dataset has
  // valid signatures and checksums, and is found only by this.
  Status check_header(ByteReader& r, Address at) const {
    const Address header = image_.address(r);
    return header == header_ ? Status() : corrupt(at, fmt::format("belongs to the array at 0x{:x}", header));
  }

  Status check_element_bytes(unsigned found) const {
    if (found == element_.bytes()) return {};
    return corrupt(header_, fmt::format("elements of {} bytes, expected {}", found, element_.bytes()));
  }

  // `count` elements from number `first` on: undefined addresses are chunks never written. The number is
  // divided by the chunks along each axis, the fastest axis first; what is left is the place along the
  // slowest one, which may have no end. 49 of the example above: 49 % 23 = 3, then 49 / 23 = 2.
  Status elements(ByteReader& r, std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      ChunkEntry entry = element_.read(r);
      if (entry.address == kUndefined) continue;
      std::uint64_t number = first + i;
      for (std::size_t a = axes_.size(); a-- > 0;) {
        const std::size_t d = axes_[a];
        const std::uint64_t along = ceil_div(grid_.most[d], grid_.chunk[d]);
        const std::uint64_t place = a == 0 ? number : number % along;
        number /= along;
        const auto origin = checked_mul(place, grid_.chunk[d]);
        if (!origin) return corrupt(header_, "a place overflows 64 bits");
        origin_[d] = *origin;
      }
      entry.origin = origin_;
      PENSTOCK_RETURN_IF_ERROR(sink_(entry));
    }
    return {};
  }

  const Image& image_;
  const ChunkGrid& grid_;
  const ChunkSink& sink_;
  const ChunkElement element_;
  const Address header_;
  const std::string_view what_;
  Growing memory_;
  // Numbers of axes, the slowest first.
  std::vector<std::size_t> axes_;
  std::vector<std::uint64_t> origin_;
  // Of the block or page at hand. A paged block keeps its bits in block_ while its pages go through page_.
  std::vector<std::byte> block_, page_;
  std::uint64_t visited_ = 0;
};

// Bits of pages begin with the highest one of the first byte.
bool bit(std::span<const std::byte> bits, std::uint64_t i) {
  return (std::to_integer<unsigned>(bits[i / 8]) & (0x80U >> (i % 8))) != 0;
}

class FixedArray : ArrayWalk {
 public:
  FixedArray(const Image& image, const Layout& layout, const ChunkGrid& grid, const ChunkSink& sink)
      : ArrayWalk(image, layout, grid, sink, "fixed array of chunks") {}

  // "FAHD" | version 0 | client | element bytes u8 | page bits u8 | elements L | data block O | checksum.
  Status run() {
    PENSTOCK_RETURN_IF_ERROR(set_axes(false));
    PENSTOCK_RETURN_IF_ERROR(load(header_, 8u + L() + O() + kChecksumBytes, block_));
    ByteReader r(block_);
    PENSTOCK_RETURN_IF_ERROR(check_start(r, "FAHD", header_));
    PENSTOCK_RETURN_IF_ERROR(check_element_bytes(r.u8()));
    const unsigned page_bits = r.u8();
    const std::uint64_t n = image_.length(r);
    const Address data = image_.address(r);
    std::uint64_t chunks = 1;
    for (std::size_t d = 0; d < grid_.most.size(); ++d) {
      const auto product = checked_mul(chunks, ceil_div(grid_.most[d], grid_.chunk[d]));
      if (!product) return corrupt(header_, "the number of chunks overflows 64 bits");
      chunks = *product;
    }
    if (n != chunks) return corrupt(header_, fmt::format("{} elements for {} chunks", n, chunks));
    if (data == kUndefined) return {};
    if (page_bits > 31) return corrupt(header_, fmt::format("pages of 2^{} elements", page_bits));
    const std::uint64_t page = std::uint64_t{1} << page_bits;
    return n <= page ? whole_block(data, n) : paged_block(data, n, page);
  }

 private:
  ByteCount head() const { return 6u + O(); }

  Status start(ByteReader& r, Address at) {
    PENSTOCK_RETURN_IF_ERROR(check_start(r, "FADB", at));
    return check_header(r, at);
  }

  // "FADB" | version 0 | client | header O | elements | checksum.
  Status whole_block(Address at, std::uint64_t n) {
    PENSTOCK_RETURN_IF_ERROR(load(at, head() + n * element_.bytes() + kChecksumBytes, block_));
    ByteReader r(block_);
    PENSTOCK_RETURN_IF_ERROR(start(r, at));
    return elements(r, 0, n);
  }

  // ... | a bit for each page | checksum, then pages: elements | checksum. Those never written have their room.
  Status paged_block(Address at, std::uint64_t n, std::uint64_t page) {
    const std::uint64_t pages = ceil_div(n, page), bitmap = ceil_div(pages, 8);
    PENSTOCK_RETURN_IF_ERROR(load(at, head() + bitmap + kChecksumBytes, block_));
    ByteReader r(block_);
    PENSTOCK_RETURN_IF_ERROR(start(r, at));
    const auto written = r.bytes(bitmap);
    const std::uint64_t page_bytes = page * element_.bytes() + kChecksumBytes;
    for (std::uint64_t p = 0; p < pages; ++p) {
      if (!bit(written, p)) continue;
      const auto behind = checked_mul(p, page_bytes);
      const auto here = behind ? checked_add(at + block_.size(), *behind) : std::nullopt;
      if (!here) return corrupt(at, "its pages overflow 64 bits");
      const std::uint64_t count = std::min(page, n - p * page);
      PENSTOCK_RETURN_IF_ERROR(load(*here, count * element_.bytes() + kChecksumBytes, page_));
      ByteReader e(page_);
      PENSTOCK_RETURN_IF_ERROR(elements(e, p * page, count));
    }
    return {};
  }
};

// Elements are in the index block, in data blocks, and in data blocks below super blocks: super block s has
// 2^(s/2) data blocks of `smallest_ * 2^((s+1)/2)` elements (whole divisions). The data blocks of the first
// super blocks hang off the index block directly. With what libhdf5 writes by default, 4 elements in the
// index block, 16 in the smallest data block, and 4 pointers in the smallest super block:
//
//     in the index block                          elements   0 to   3
//     s = 0    1 block  of 16    directly         elements   4 to  19
//     s = 1    1 block  of 32    directly         elements  20 to  51
//     s = 2    2 blocks of 32    directly         elements  52 to 115
//     s = 3    2 blocks of 64    directly         elements 116 to 243
//     s = 4    4 blocks of 64    a super block    elements 244 to 499
//
// Element 300 is number 56 of the first block of s = 4. From s = 13 on, blocks have more elements than a page
// (1,024), and the super block has a bit for each page that says whether it was written.
class ExtensibleArray : ArrayWalk {
 public:
  ExtensibleArray(const Image& image, const Layout& layout, const ChunkGrid& grid, const ChunkSink& sink)
      : ArrayWalk(image, layout, grid, sink, "extensible array of chunks") {}

  // "EAHD" | version 0 | client | element bytes | bits of numbers | elements of the index block | elements of
  // the smallest data block | pointers of the smallest super block | page bits (u8 each) | 4 L of super and
  // data blocks | highest number set L | elements L | index block O | checksum.
  Status run() {
    PENSTOCK_RETURN_IF_ERROR(set_axes(true));
    PENSTOCK_RETURN_IF_ERROR(load(header_, 12u + 6u * L() + O() + kChecksumBytes, block_));
    ByteReader r(block_);
    PENSTOCK_RETURN_IF_ERROR(check_start(r, "EAHD", header_));
    PENSTOCK_RETURN_IF_ERROR(check_element_bytes(r.u8()));
    number_bits_ = r.u8();
    in_index_ = r.u8();
    smallest_ = r.u8();
    pointers_ = r.u8();
    page_bits_ = r.u8();
    r.skip(4u * L());
    set_ = image_.length(r);
    image_.length(r);
    const Address index = image_.address(r);
    const auto power = [](std::uint64_t v) { return std::has_single_bit(v); };
    // The last condition keeps `supers - direct` in index_block() above 0.
    if (number_bits_ == 0 || number_bits_ > 64 || !power(smallest_) || !power(pointers_) || page_bits_ > 31 ||
        log2(smallest_) + 2 * log2(pointers_) > number_bits_) {
      return corrupt(header_, fmt::format("{} bits, blocks of {} elements, {} pointers, 2^{} on a page",
                                          number_bits_, smallest_, pointers_, page_bits_));
    }
    return index == kUndefined ? Status() : index_block(index);
  }

 private:
  static unsigned log2(std::uint64_t v) { return static_cast<unsigned>(std::bit_width(v)) - 1; }
  ByteCount head() const { return 6u + O(); }
  std::size_t offset_bytes() const { return (number_bits_ + 7) / 8; }
  std::uint64_t page() const { return std::uint64_t{1} << page_bits_; }

  Status start(ByteReader& r, std::string_view signature, Address at) {
    PENSTOCK_RETURN_IF_ERROR(check_start(r, signature, at));
    return check_header(r, at);
  }

  // "EAIB" | version 0 | client | header O | elements | data blocks O | super blocks O | checksum.
  Status index_block(Address at) {
    const unsigned direct = 2 * log2(pointers_);  // super blocks whose data blocks hang off this one
    const unsigned supers = 1 + number_bits_ - log2(smallest_);
    const std::uint64_t data_blocks = 2 * (pointers_ - 1);
    const ByteCount bytes = head() + in_index_ * element_.bytes() + (data_blocks + supers - direct) * O();
    std::vector<std::byte> index;
    PENSTOCK_RETURN_IF_ERROR(load(at, bytes + kChecksumBytes, index));
    ByteReader r(index);
    PENSTOCK_RETURN_IF_ERROR(start(r, "EAIB", at));
    PENSTOCK_RETURN_IF_ERROR(elements(r, 0, std::min<std::uint64_t>(in_index_, set_)));
    // In the index block there is room for in_index_ elements, even where fewer are set.
    r = ByteReader(index);
    r.skip(head() + in_index_ * element_.bytes());
    std::uint64_t first = in_index_;
    for (unsigned s = 0; s < supers && first < set_; ++s) {
      const std::uint64_t blocks = std::uint64_t{1} << (s / 2);
      // Of an array with 64-bit numbers the last super block has more elements than 64 bits can count. The
      // walk gets there only where set_ claims as many, which no file holds.
      const auto each = checked_mul(smallest_, std::uint64_t{1} << ((s + 1) / 2));
      const auto all = each ? checked_mul(blocks, *each) : std::nullopt;
      if (s >= direct) {
        const Address super = image_.address(r);
        if (!all) return corrupt(at, "its blocks overflow 64 bits");
        if (super != kUndefined) PENSTOCK_RETURN_IF_ERROR(super_block(super, first, blocks, *each));
      } else {
        for (std::uint64_t b = 0; b < blocks; ++b) {
          const Address data = image_.address(r);
          if (!all || data == kUndefined) continue;
          PENSTOCK_RETURN_IF_ERROR(data_block(data, first + b * *each, *each, {}, 0));
        }
      }
      first = all ? checked_add(first, *all).value_or(set_) : set_;
    }
    return {};
  }

  // "EASB" | version 0 | client | header O | first number | [a bit for each page of its blocks] | data blocks O
  // | checksum.
  Status super_block(Address at, std::uint64_t first, std::uint64_t blocks, std::uint64_t each) {
    const std::uint64_t pages = each > page() ? each / page() : 0;
    // There are whole bytes for each block, yet the bits of all blocks follow each other without a gap: for
    // page 2 of block 3, with 5 pages a block, bit 3 * 5 + 2 is asked.
    const auto bitmap = checked_mul(blocks, ceil_div(pages, 8));
    const auto pointers = checked_mul(blocks, O());
    const auto bytes = bitmap && pointers ? checked_add(*bitmap, *pointers) : std::nullopt;
    if (!bytes || *bytes > image_.size()) return corrupt(at, "a super block of more bytes than the file");
    std::vector<std::byte> super;
    PENSTOCK_RETURN_IF_ERROR(load(at, head() + offset_bytes() + *bytes + kChecksumBytes, super));
    ByteReader r(super);
    PENSTOCK_RETURN_IF_ERROR(start(r, "EASB", at));
    PENSTOCK_RETURN_IF_ERROR(check_first(r, at, first));
    const auto written = r.bytes(*bitmap);
    for (std::uint64_t b = 0; b < blocks && first + b * each < set_; ++b) {
      const Address data = image_.address(r);
      if (data == kUndefined) continue;
      PENSTOCK_RETURN_IF_ERROR(data_block(data, first + b * each, each, written, b * pages));
    }
    memory_.drop(super.capacity());
    return {};
  }

  // Numbers in super and data blocks leave out the elements of the index block.
  Status check_first(ByteReader& r, Address at, std::uint64_t first) const {
    const std::uint64_t found = r.uint(offset_bytes()), expected = first - in_index_;
    if (found == expected) return {};
    return corrupt(at, fmt::format("expected the elements from {} on, found {}", expected, found));
  }

  // "EADB" | version 0 | client | header O | first number | elements | checksum; with more elements than a page
  // has: ... | checksum, then pages: elements | checksum. The first number of blocks that hang off the index
  // block is another one in files (libhdf5 adds the number of the block), and not looked at.
  Status data_block(Address at, std::uint64_t first, std::uint64_t n, std::span<const std::byte> written,
                    std::uint64_t first_page) {
    if (first >= set_) return {};
    const ByteCount before = head() + offset_bytes();
    if (n <= page()) {
      PENSTOCK_RETURN_IF_ERROR(load(at, before + n * element_.bytes() + kChecksumBytes, page_));
      ByteReader r(page_);
      PENSTOCK_RETURN_IF_ERROR(start(r, "EADB", at));
      r.skip(offset_bytes());
      return elements(r, first, std::min(n, set_ - first));
    }
    PENSTOCK_RETURN_IF_ERROR(load(at, before + kChecksumBytes, page_));
    ByteReader r(page_);
    PENSTOCK_RETURN_IF_ERROR(start(r, "EADB", at));
    PENSTOCK_RETURN_IF_ERROR(check_first(r, at, first));
    const std::uint64_t page_bytes = page() * element_.bytes() + kChecksumBytes;
    for (std::uint64_t p = 0; p < n / page() && first + p * page() < set_; ++p) {
      if (first_page + p >= 8 * written.size())
        return corrupt(at, "pages without a bit that says they are there");
      if (!bit(written, first_page + p)) continue;
      const auto behind = checked_mul(p, page_bytes);
      const auto here = behind ? checked_add(at + before + kChecksumBytes, *behind) : std::nullopt;
      if (!here) return corrupt(at, "its pages overflow 64 bits");
      PENSTOCK_RETURN_IF_ERROR(load(*here, page_bytes, page_));
      ByteReader e(page_);
      const std::uint64_t number = first + p * page();
      PENSTOCK_RETURN_IF_ERROR(elements(e, number, std::min(page(), set_ - number)));
    }
    return {};
  }

  unsigned number_bits_ = 0, page_bits_ = 0;
  // All but set_ are elements or pointers of a block, see run(). set_ is one more than the highest element
  // that was ever set. It bounds the walk, for the array itself has room for 2^number_bits_.
  std::uint64_t in_index_ = 0, smallest_ = 0, pointers_ = 0, set_ = 0;
};

}  // namespace

Status visit_fixed_array(const Image& image, const Layout& layout, const ChunkGrid& grid,
                         const ChunkSink& sink) {
  return FixedArray(image, layout, grid, sink).run();
}

Status visit_extensible_array(const Image& image, const Layout& layout, const ChunkGrid& grid,
                              const ChunkSink& sink) {
  return ExtensibleArray(image, layout, grid, sink).run();
}

}  // namespace penstock::hdf5
