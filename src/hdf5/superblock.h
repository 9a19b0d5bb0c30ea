// Superblock, versions 0 to 3 (HDF5 spec II.A), and its extension (II.C).
#pragma once

#include <optional>

#include "hdf5/image.h"

namespace penstock::hdf5 {

// Where the signature is, searched at 0, 512, 1024, 2048, ... to the end of the file (II.A).
Result<std::optional<ByteOffset>> find_signature(const File& file);

// `corrupt` when there is no signature or the file is shorter than it says; `unsupported` for other versions.
Result<Superblock> read_superblock(const File& file, Checksums checksums = Checksums::verify);

// What the extension of versions 2 and 3 adds to `superblock`, that of `image`: the K of B-trees.
Status read_extension(const Image& image, Superblock& superblock);

}  // namespace penstock::hdf5
