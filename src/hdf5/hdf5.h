// Opens an HDF5 file as a store. Source of every structure: HDF5 File Format Specification 3.0.
//
// Reads what libhdf5 writes with any `libver`: superblocks 0 to 3, object headers 1 and 2, groups of symbol
// tables, of link messages and dense ones, attributes 1 to 3 and dense ones, layouts 1 to 5 (compact, contiguous,
// and chunks under every index there is). External and virtual storage, shared message tables and the filters
// that filter_numbers.h leaves out are `unsupported`, named with their address and the way out.
#pragma once

#include <memory>
#include <string>

#include "hdf5/image.h"
#include "penstock/status.h"
#include "store/store.h"

namespace penstock::hdf5 {

// True when the signature is at 0, 512, 1024, 2048, ... of the file.
Result<bool> is_hdf5(const File& file);

// The root group. Costs a few small reads; children are parsed when they are asked for.
Result<std::shared_ptr<const store::Group>> open(const std::string& path, const store::OpenLimits& limits,
                                                 Checksums checksums = Checksums::verify);

}  // namespace penstock::hdf5
