// HDF5's filter 32004: bytes u64 | bytes of a block u32, then blocks: stored bytes u32 | an lz4 block, or the
// bytes as they are where it would not be smaller. Numbers are big-endian. (Registered with The HDF Group.)
//
// Pure function: never writes outside `out` nor reads outside `stored`, whatever they hold.
#pragma once

#include "codecs/inner.h"

namespace penstock::internal {

StageResult lz4_filter_decode(In stored, Out out);

}  // namespace penstock::internal
