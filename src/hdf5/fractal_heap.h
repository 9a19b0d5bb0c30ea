// Fractal heaps (HDF5 spec III.G): where dense links and attributes live. Managed objects lie in direct blocks
// below a table of blocks that double in size, huge ones apart, tiny ones in their own id.
//
// Thread contract: externally synchronised; one per call that needs objects.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_set>
#include <vector>

#include "hdf5/image.h"
#include "memory/growing.h"

namespace penstock::hdf5 {

class FractalHeap {
 public:
  struct Object {
    std::span<const std::byte> bytes;  // valid until the next object is asked for
    Address address = kUndefined;      // where they lie; undefined for tiny ones
  };

  // Reads the header. `unsupported` for heaps whose blocks are filtered.
  static Result<FractalHeap> open(const Image& image, Address header);

  // The object that an id of id_bytes() names. Each block is verified when it is first seen. Memory is
  // reserved from the index budget, and all objects together are not more than the file.
  Result<Object> object(std::span<const std::byte> id);
  std::size_t id_bytes() const { return id_bytes_; }

 private:
  FractalHeap(const Image& image, Address header);

  struct Place {
    Address address = kUndefined;
    std::uint64_t bytes = 0;
  };
  struct Huge {
    std::uint64_t number = 0;
    Place place;
  };

  Status read_header();
  Status check_table() const;
  Result<Place> managed(std::span<const std::byte> id);
  Result<Place> huge(std::span<const std::byte> id);
  Status load_huge();
  Status verify_indirect(Address block, std::uint64_t offset, std::uint64_t rows);
  Status verify_direct(Address block, std::uint64_t offset, std::uint64_t bytes);
  Status verify_block(Address block, std::uint64_t offset, std::uint64_t bytes, std::string_view signature);
  std::size_t offset_bytes() const { return (heap_bits_ + 7) / 8; }
  // Bytes before the data of a direct block, or before the entries of an indirect one.
  std::size_t block_head() const { return 5 + image_->superblock().offset_size + offset_bytes(); }

  const Image* image_;
  Address header_;
  std::size_t id_bytes_ = 0;
  bool direct_checksums_ = false;
  std::uint64_t most_managed_ = 0, table_width_ = 0, first_block_ = 0, largest_direct_ = 0;
  unsigned heap_bits_ = 0;
  Address root_ = kUndefined, huge_tree_ = kUndefined;
  std::uint64_t root_rows_ = 0;  // 0: the root is a direct block

  Growing memory_;
  std::unordered_set<Address> verified_;
  std::uint64_t verified_bytes_ = 0;
  std::optional<std::vector<Huge>> huge_;  // by number
  std::vector<std::byte> object_;
  std::uint64_t handed_out_ = 0;
};

}  // namespace penstock::hdf5
