// B-trees, version 2 (HDF5 spec III.A.2): names and creation orders of dense links and attributes, huge
// objects of fractal heaps, and chunks.
#pragma once

#include <functional>

#include "hdf5/image.h"

namespace penstock::hdf5 {

enum class Btree2Type : std::uint8_t {
  huge_indirect = 1,
  link_name = 5,
  attribute_name = 8,
  chunk = 10,
  filtered_chunk = 11,
};

// Hands out every record, `record_bytes` each, in the order of the tree. `corrupt` when type, size of records,
// checksums or counts are not what they must be. Work is bounded by the size of the file; nodes are reserved
// from the index budget.
Status visit_btree2(const Image& image, Address header, Btree2Type type, std::size_t record_bytes,
                    const std::function<Status(std::span<const std::byte> record)>& visit);

}  // namespace penstock::hdf5
