// Datatype message, versions 1 to 5 (HDF5 spec IV.A.2.d), as far as Penstock uses types: numbers, booleans,
// strings and object references exactly; everything else by name, so that it can be refused by name.
#pragma once

#include "hdf5/image.h"
#include "hdf5/object_header.h"
#include "store/store.h"

namespace penstock::hdf5 {

Result<store::DataType> parse_datatype(const Image& image, std::span<const std::byte> body, Address at);

// A datatype that may be stored elsewhere (a committed one): `shared` says that `body` is a reference.
Result<store::DataType> resolve_datatype(const Image& image, std::span<const std::byte> body, bool shared,
                                         Address at);

}  // namespace penstock::hdf5
