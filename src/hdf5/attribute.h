// Attribute messages, versions 1 to 3 (HDF5 spec IV.A.2.m), and the attribute info message (IV.A.2.v).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hdf5/image.h"
#include "store/store.h"

namespace penstock::hdf5 {

// Names of the attributes of an object, in the order stored.
Result<std::vector<std::string>> read_attribute_names(const Image& image, Address header);

// One attribute, decoded; nullopt when there is none. Others may be damaged or unsupported: they are not
// parsed beyond their names.
Result<std::optional<store::Attribute>> read_attribute(const Image& image, Address header,
                                                       const std::string& name);

}  // namespace penstock::hdf5
