// Global heap collections (HDF5 spec III.E): where variable-length strings live. A string is an element of 4
// bytes length, address of its collection, 4 bytes index.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "hdf5/image.h"

namespace penstock::hdf5 {

// Reads strings, remembering the collections it has seen (strings of one column cluster). Work is bounded by
// the size of the file plus the strings asked for; collections and the strings handed out are reserved from
// the index budget for the life of the reader.
//
// Thread contract: externally synchronised; one per call that needs strings.
class StringReader {
 public:
  explicit StringReader(const Image& image) : image_(image) {}

  // Decodes count elements of element_bytes() each. A length of 0 is "" whatever the address says; a string
  // ends at its first NUL, as libhdf5's users see it.
  Status read(std::span<const std::byte> elements, std::uint64_t count, Address at,
              std::vector<std::string>& out);
  std::size_t element_bytes() const { return 8u + image_.superblock().offset_size; }

  // Counts bytes that the caller will hold; `budget` when they do not fit.
  Status charge(ByteCount bytes);

 private:
  struct Object {
    Address data = 0;
    std::uint64_t bytes = 0;
  };
  using Collection = std::unordered_map<std::uint32_t, Object>;

  Result<const Collection*> collection(Address address);
  Status string(ByteReader& r, Address at, std::string& out);

  const Image& image_;
  Reservation reservation_;
  ByteCount charged_ = 0;
  std::unordered_map<Address, Collection> collections_;
  std::uint64_t objects_held_ = 0;
  std::uint64_t objects_parsed_ = 0;
  std::uint64_t strings_read_ = 0;
};

}  // namespace penstock::hdf5
