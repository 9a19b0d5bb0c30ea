// The superblock: the first structure of a file, which gives the widths of all addresses (O) and lengths (L),
// and where the root group is. Both forms begin with the signature and the version:
//
//     0 and 1    version | free space version | root version | 0 | shared version | O | L | 0 | leaf K u16
//                | internal K u16 | flags u32 | [version 1: chunk K u16 | 0 u16] | base O | free space O
//                | end of file O | driver O | root: name L, header O, cache type u32, 0 u32, scratch 16
//     2 and 3    version | O | L | flags | base O | extension O | end of file O | root header O | checksum
//
// K is how many entries nodes of B-trees of version 1 have room for: 2 K. Newer superblocks leave it to the
// extension, an object header of its own, or to the defaults in image.h.
//
// Addresses count from where the signature was found, and not from the base address that is stored. Texts are
// put before finished files (a "user block"), and not every tool corrects the number.
#include "hdf5/superblock.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/checked.h"
#include "hdf5/checksum.h"
#include "hdf5/object_header.h"

namespace penstock::hdf5 {
namespace {

constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);
// Version 1 with 8-byte offsets: 28 fixed, 4 addresses, the root's symbol table entry.
constexpr std::size_t kLargest = 28 + 4 * 8 + (2 * 8 + 24);

}  // namespace

Result<std::optional<ByteOffset>> find_signature(const File& file) {
  std::array<std::byte, 8> bytes;
  // At 0, and at all powers of two from 512 on.
  for (ByteOffset at = 0; at <= file.size() && file.size() - at >= bytes.size();
       at = at == 0 ? 512 : at * 2) {
    PENSTOCK_RETURN_IF_ERROR(file.read_at(at, bytes));
    ByteReader r(bytes);
    if (r.match(kSignature)) return std::optional<ByteOffset>(at);
    if (at > file.size() / 2) break;
  }
  return std::optional<ByteOffset>();
}

namespace {

// What a superblock says about the file's size, in addresses as its writer saw them.
struct Ends {
  Address base = kUndefined, end = kUndefined;
};

class Parser {
 public:
  Parser(const File& file, ByteOffset base, Checksums checksums) : file_(file) {
    s_.base = base;
    s_.checksums = checksums;
  }

  Result<Superblock> run() {
    std::array<std::byte, kLargest> bytes;
    // A whole superblock may be shorter than the largest one, and the file not much longer.
    const std::size_t have = std::min<ByteCount>(bytes.size(), file_.size() - s_.base);
    PENSTOCK_RETURN_IF_ERROR(file_.read_at(s_.base, std::span(bytes).first(have)));
    have_ = have;
    const auto all = std::span<const std::byte>(bytes).first(have);
    ByteReader r(all);
    r.skip(kSignature.size());
    s_.version = r.u8();
    if (r.failed()) return fail("truncated after the signature");
    if (s_.version > 3) return refuse(fmt::format("superblock version {}", s_.version));
    Ends ends;
    PENSTOCK_RETURN_IF_ERROR(s_.version < 2 ? old(r, ends) : checked(r, all, ends));
    if (s_.root == kUndefined) return fail("the root group has no address");
    PENSTOCK_RETURN_IF_ERROR(check_end(ends));
    return s_;
  }

 private:
  Status fail(std::string_view detail) const {
    return Status::corrupt(fmt::format("{}: HDF5 superblock at 0x{:x}: {}", file_.label(), s_.base, detail));
  }
  Status truncated() const { return fail(fmt::format("truncated after {} bytes", have_)); }
  Status refuse(std::string_view what) const {
    return Status::unsupported(
        fmt::format("{}: HDF5 {} at 0x{:x} is not supported", file_.label(), what, s_.base));
  }
  // 16 and 32 are legal on paper. No library writes them, and an address would not fit in 64 bits.
  Status check_sizes() const {
    const auto legal = [](unsigned n) { return n == 2 || n == 4 || n == 8; };
    if (!legal(s_.offset_size)) return refuse(fmt::format("size of offsets {}", s_.offset_size));
    if (!legal(s_.length_size)) return refuse(fmt::format("size of lengths {}", s_.length_size));
    return {};
  }
  Address address(ByteReader& r) const {
    const std::uint64_t v = r.uint(s_.offset_size);
    return v == (~std::uint64_t{0} >> (64 - 8 * s_.offset_size)) ? kUndefined : v;
  }

  // Versions 0 and 1.
  Status old(ByteReader& r, Ends& ends) {
    const unsigned free_space_version = r.u8(), root_version = r.u8();
    r.skip(1);
    const unsigned shared_version = r.u8();
    s_.offset_size = r.u8();
    s_.length_size = r.u8();
    r.skip(1);
    s_.group_leaf_k = r.u16();
    s_.group_internal_k = r.u16();
    r.skip(4);  // consistency flags: unused in these versions
    if (s_.version == 1) {
      s_.chunk_k = r.u16();
      r.skip(2);
    }
    if (r.failed()) return truncated();
    if (free_space_version != 0) return refuse(fmt::format("free-space version {}", free_space_version));
    if (root_version != 0) return refuse(fmt::format("root symbol table version {}", root_version));
    if (shared_version != 0) return refuse(fmt::format("shared header version {}", shared_version));
    PENSTOCK_RETURN_IF_ERROR(check_sizes());
    if (s_.group_leaf_k == 0 || s_.group_internal_k == 0 || s_.chunk_k == 0) return fail("a B-tree K is 0");
    ends.base = address(r);
    address(r);  // free space: never used
    ends.end = address(r);
    const Address driver = address(r);
    r.uint(s_.length_size);  // the root's name: a length in libhdf5, an offset in the text of III.C
    s_.root = address(r);
    // The rest of the root's entry is a cache of what its header says.
    r.skip(24);
    if (r.failed()) return truncated();
    return driver == kUndefined ? Status() : refuse("driver information block");
  }

  // Versions 2 and 3: offset bytes u8 | length bytes u8 | flags u8 | base | extension | end | root | checksum.
  Status checked(ByteReader& r, std::span<const std::byte> all, Ends& ends) {
    s_.offset_size = r.u8();
    s_.length_size = r.u8();
    // Bit 0: open for writing, bit 2: for readers beside the writer. Such a file may be read: checksums and
    // bounds tell whether what is there is whole.
    s_.left_open = s_.version == 3 && (r.u8() & 5) != 0;
    if (s_.version == 2) r.skip(1);
    PENSTOCK_RETURN_IF_ERROR(check_sizes());
    ends.base = address(r);
    s_.extension = address(r);
    ends.end = address(r);
    s_.root = address(r);
    const std::size_t n = r.position();
    const std::uint32_t stored = r.u32();
    if (r.failed()) return truncated();
    if (!checksum_matches(s_.checksums, all.first(n), stored)) {
      return fail(
          fmt::format("checksum 0x{:08x} is stored, the bytes have 0x{:08x}", stored, lookup3(all.first(n))));
    }
    return {};
  }

  // The end is counted from the first byte of the file as its writer saw it: bytes that were put before
  // afterwards move it along.
  Status check_end(const Ends& ends) const {
    if (ends.base == kUndefined || ends.end == kUndefined || ends.end < ends.base) {
      return fail(fmt::format("end of file 0x{:x} lies before the base address 0x{:x}", ends.end, ends.base));
    }
    const auto wanted = checked_add(s_.base, ends.end - ends.base);
    if (wanted && *wanted <= file_.size()) return {};
    return Status::corrupt(
        fmt::format("{}: truncated: the superblock at 0x{:x} expects {} bytes, found {}; a copy or "
                    "download that ended early: make it again",
                    file_.label(), s_.base, saturating_add(s_.base, ends.end - ends.base), file_.size()));
  }

  const File& file_;
  std::size_t have_ = 0;  // bytes of the superblock that the file has
  Superblock s_;
};

}  // namespace

Result<Superblock> read_superblock(const File& file, Checksums checksums) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto found, find_signature(file));
  if (!found) {
    return Status::corrupt(fmt::format(
        "{}: is not an HDF5 file: no signature at 0, 512, 1024, ... ({} bytes)", file.label(), file.size()));
  }
  return Parser(file, *found, checksums).run();
}

// K of B-trees: version 0 | chunk K u16 | group internal K u16 | group leaf K u16 (IV.A.2.t).
Status read_extension(const Image& image, Superblock& superblock) {
  if (superblock.extension == kUndefined) return {};
  const auto visit = [&](const Message& m, bool&) -> Status {
    constexpr std::string_view kWhat = "superblock extension";
    if (m.type == MessageType::driver_info) {
      return image.unsupported(m.address, "HDF5 file of a driver that splits it");
    }
    if (m.type != MessageType::btree_k) return {};
    ByteReader r(m.body);
    const unsigned version = r.u8();
    superblock.chunk_k = r.u16();
    superblock.group_internal_k = r.u16();
    superblock.group_leaf_k = r.u16();
    if (r.failed() || version != 0) return image.corrupt(m.address, kWhat, "B-tree K of unknown shape");
    if (superblock.group_leaf_k == 0 || superblock.group_internal_k == 0 || superblock.chunk_k == 0) {
      return image.corrupt(m.address, kWhat, "a B-tree K is 0");
    }
    return {};
  };
  return visit_messages(image, superblock.extension, visit);
}

}  // namespace penstock::hdf5
