// Fill value messages, old (HDF5 spec IV.A.2.e) and new, versions 1 to 3 (IV.A.2.f).
#pragma once

#include <vector>

#include "hdf5/image.h"
#include "hdf5/object_header.h"

namespace penstock::hdf5 {

// The value as stored, or nothing: zeros.
Result<std::vector<std::byte>> parse_fill_value(const Image& image, const Message& message);

}  // namespace penstock::hdf5
