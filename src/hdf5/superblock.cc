#include "hdf5/superblock.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/checked.h"

namespace penstock::hdf5 {
namespace {

constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);
// Version 1 with 8-byte offsets: 28 fixed, 4 addresses, the root's symbol table entry.
constexpr std::size_t kLargest = 28 + 4 * 8 + (2 * 8 + 24);

}  // namespace

Result<std::optional<ByteOffset>> find_signature(const File& file) {
  std::array<std::byte, 8> bytes;
  for (ByteOffset at = 0; at <= file.size() && file.size() - at >= bytes.size();
       at = at == 0 ? 512 : at * 2) {
    PENSTOCK_RETURN_IF_ERROR(file.read_at(at, bytes));
    ByteReader r(bytes);
    if (r.match(kSignature)) return std::optional<ByteOffset>(at);
    if (at > file.size() / 2) break;
  }
  return std::optional<ByteOffset>();
}

Result<Superblock> read_superblock(const File& file) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto found, find_signature(file));
  if (!found) {
    return Status::corrupt(fmt::format(
        "{}: is not an HDF5 file: no signature at 0, 512, 1024, ... ({} bytes)", file.label(), file.size()));
  }
  Superblock s;
  s.base = *found;
  const auto fail = [&](std::string_view detail) {
    return Status::corrupt(fmt::format("{}: HDF5 superblock at 0x{:x}: {}", file.label(), s.base, detail));
  };
  const auto refuse = [&](std::string_view what) {
    return Status::unsupported(
        fmt::format("{}: HDF5 {} at 0x{:x} is not supported", file.label(), what, s.base));
  };

  std::array<std::byte, kLargest> bytes;
  const std::size_t have = std::min<ByteCount>(bytes.size(), file.size() - s.base);
  PENSTOCK_RETURN_IF_ERROR(file.read_at(s.base, std::span(bytes).first(have)));
  ByteReader r(std::span<const std::byte>(bytes).first(have));
  r.skip(kSignature.size());
  s.version = r.u8();
  if (r.failed()) return fail("truncated after the signature");
  if (s.version > 1) return refuse(fmt::format("superblock version {}", s.version));

  const unsigned free_space_version = r.u8(), root_version = r.u8();
  r.skip(1);
  const unsigned shared_version = r.u8();
  s.offset_size = r.u8();
  s.length_size = r.u8();
  r.skip(1);
  s.group_leaf_k = r.u16();
  s.group_internal_k = r.u16();
  r.skip(4);  // consistency flags: unused in these versions
  if (s.version == 1) {
    s.chunk_k = r.u16();
    r.skip(2);
  }
  if (r.failed()) return fail(fmt::format("truncated after {} bytes", have));
  if (free_space_version != 0) return refuse(fmt::format("free-space version {}", free_space_version));
  if (root_version != 0) return refuse(fmt::format("root symbol table version {}", root_version));
  if (shared_version != 0) return refuse(fmt::format("shared header version {}", shared_version));
  const auto legal = [](unsigned n) { return n == 2 || n == 4 || n == 8; };
  if (!legal(s.offset_size)) return refuse(fmt::format("size of offsets {}", s.offset_size));
  if (!legal(s.length_size)) return refuse(fmt::format("size of lengths {}", s.length_size));
  if (s.group_leaf_k == 0 || s.group_internal_k == 0 || s.chunk_k == 0) return fail("a B-tree K is 0");

  const auto address = [&] {
    const std::uint64_t v = r.uint(s.offset_size);
    return v == (~std::uint64_t{0} >> (64 - 8 * s.offset_size)) ? kUndefined : v;
  };
  const Address stored_base = address();
  address();  // free space: never used
  const Address end = address();
  const Address driver = address();
  r.uint(s.length_size);  // the root's name: a length in libhdf5, an offset in the text of III.C
  s.root = address();
  r.skip(24);
  if (r.failed()) return fail(fmt::format("truncated after {} bytes", have));
  if (driver != kUndefined) return refuse("driver information block");
  if (s.root == kUndefined) return fail("the root group has no address");
  // The end is counted from the first byte of the file as its writer saw it: bytes that were put before
  // afterwards move it along.
  if (stored_base == kUndefined || end == kUndefined || end < stored_base) {
    return fail(fmt::format("end of file 0x{:x} lies before the base address 0x{:x}", end, stored_base));
  }
  const auto wanted = checked_add(s.base, end - stored_base);
  if (!wanted || *wanted > file.size()) {
    return Status::corrupt(fmt::format("{}: truncated: the superblock at 0x{:x} expects {} bytes, found {}",
                                       file.label(), s.base, s.base + (end - stored_base), file.size()));
  }
  return s;
}

}  // namespace penstock::hdf5
