// An HDF5 file as its own addresses see it: relative to the base address, with sizes of offsets and lengths
// from the superblock. Metadata is read through a small page cache that all open files share (page_cache.h).
//
// Every read is checked against the end of the file first; a range outside is `corrupt` and names the
// structure.
//
// Thread contract: immutable, safe from many threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/byte_reader.h"
#include "base/types.h"
#include "io/file.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::hdf5 {

using Address = std::uint64_t;                            // relative to the base address
inline constexpr Address kUndefined = ~std::uint64_t{0};  // all ones in the file, whatever the width

// What to do about the checksums of newer structures. Tests and fuzzers damage structures and want to get behind
// them; nobody else ignores them.
enum class Checksums : std::uint8_t { verify, ignore };

struct Superblock {
  std::uint8_t version = 0;
  ByteOffset base = 0;  // where the signature is: every address counts from here
  std::uint8_t offset_size = 8;
  std::uint8_t length_size = 8;
  std::uint16_t group_leaf_k = 4;
  std::uint16_t group_internal_k = 16;
  std::uint16_t chunk_k = 32;
  Address root = kUndefined;                // object header of the root group
  Address extension = kUndefined;           // object header, versions 2 and 3
  bool left_open = false;                   // by its writer; version 3
  Checksums checksums = Checksums::verify;  // as its reader wants it
};

class LinkCache;

class Image {
 public:
  Image(std::shared_ptr<const File> file, Superblock superblock, std::shared_ptr<MemoryBudget> budget);
  ~Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  const std::shared_ptr<const File>& file() const { return file_; }
  const std::string& label() const { return file_->label(); }
  const Superblock& superblock() const { return superblock_; }
  const std::shared_ptr<MemoryBudget>& budget() const { return budget_; }
  LinkCache& link_cache() const { return *link_cache_; }

  // Bytes from the base address to the end of the file: the bound of every traversal.
  ByteCount size() const { return size_; }
  // True when [address, address + bytes) lies in the file.
  bool contains(Address address, ByteCount bytes) const {
    return address <= size_ && bytes <= size_ - address;
  }
  // Position in the file; for addresses that are contained.
  ByteOffset position(Address address) const { return superblock_.base + address; }

  // Fills `out` through the page cache (long spans go past it). `structure` is for messages: "object header".
  Status read(Address address, std::span<std::byte> out, std::string_view structure) const;
  // Fills `out` straight from the file: for nodes that lie scattered between payload.
  Status read_uncached(Address address, std::span<std::byte> out, std::string_view structure) const;

  // One address or length out of a structure.
  Address address(ByteReader& r) const;
  std::uint64_t length(ByteReader& r) const { return r.uint(superblock_.length_size); }

  // "B-tree node at 0x1f0: expected level 1, found 7".
  Status corrupt(Address address, std::string_view structure, std::string_view detail) const;
  // "HDF5 virtual dataset at 0x1f0 is not supported; rewrite it: ...".
  Status unsupported(Address address, std::string_view structure, std::string_view way_out = {}) const;

 private:
  Status out_of_file(Address address, ByteCount bytes, std::string_view structure) const;

  const std::shared_ptr<const File> file_;
  const Superblock superblock_;
  const std::shared_ptr<MemoryBudget> budget_;
  const ByteCount size_;
  const std::uint64_t cache_key_;
  const std::unique_ptr<LinkCache> link_cache_;
};

}  // namespace penstock::hdf5
