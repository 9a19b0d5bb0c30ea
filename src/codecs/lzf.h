// LZF (HDF5 filter 32000, from h5py): a bare LZF stream without a header or checksum.
#pragma once

#include <cstddef>
#include <span>

#include "codecs/codec_record.h"

namespace penstock::internal {

StageResult lzf_decode(std::span<const std::byte> stored, std::span<std::byte> out);

}  // namespace penstock::internal
