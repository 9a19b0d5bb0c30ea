// Filter pipeline message, versions 1 and 2 (HDF5 spec IV.A.2.l).
#pragma once

#include <vector>

#include "hdf5/filter_numbers.h"
#include "hdf5/image.h"

namespace penstock::hdf5 {

// In the order the writer applied them.
Result<std::vector<StoredFilter>> parse_filters(const Image& image, std::span<const std::byte> body,
                                                Address at);

}  // namespace penstock::hdf5
