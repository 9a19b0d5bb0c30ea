// Superblock, versions 0 and 1 (HDF5 spec II.A).
#pragma once

#include <optional>

#include "hdf5/image.h"

namespace penstock::hdf5 {

// Where the signature is, searched at 0, 512, 1024, 2048, ... to the end of the file (II.A).
Result<std::optional<ByteOffset>> find_signature(const File& file);

// `corrupt` when there is no signature or the file is shorter than it says; `unsupported` for other versions.
Result<Superblock> read_superblock(const File& file);

}  // namespace penstock::hdf5
