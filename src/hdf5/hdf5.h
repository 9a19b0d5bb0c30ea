// Opens an HDF5 file as a store. Source of every structure: HDF5 File Format Specification 3.0.
//
// Reads superblock 0-1 era files: symbol-table groups, version 1 object headers, attributes 1-3, layout 1-3
// (compact, contiguous, B-tree v1 chunks). Later structures are `unsupported`, named with their address
// ("HDF5 extensible-array chunk index at 0x1f0").
#pragma once

#include <memory>
#include <string>

#include "penstock/status.h"
#include "store/store.h"

namespace penstock::hdf5 {

// True when the signature is at 0, 512, 1024, 2048, ... of the file.
Result<bool> is_hdf5(const File& file);

// The root group. Costs a few small reads; children are parsed when they are asked for.
Result<std::shared_ptr<const store::Group>> open(const std::string& path, const store::OpenLimits& limits);

}  // namespace penstock::hdf5
