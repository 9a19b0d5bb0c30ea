// Compound datatypes (HDF5 spec IV.A.2.d, class 6): the names, places and types of their fields.
#pragma once

#include <span>

#include "hdf5/image.h"
#include "store/store.h"

namespace penstock::hdf5 {

// `body`: a datatype message of class 6 from its first byte on. Without `members` where it cannot be
// followed, or where a field lies outside of an element: nobody needs them but who reads a table.
store::DataType parse_compound(const Image& image, std::span<const std::byte> body, Address at);

}  // namespace penstock::hdf5
