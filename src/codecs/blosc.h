// Blosc 1 chunks, HDF5's filter 32001: a header, blocks under one of five codecs, shuffled by bytes or bits
// (c-blosc, README_CHUNK_FORMAT.rst). Read here and not with c-blosc, which allocates a context and its buffers
// for each chunk and each zstd block: this way all memory is the caller's.
//
// Pure function: never writes outside `out` and `work` nor reads outside `stored`, whatever they hold.
#pragma once

#include <cstdint>
#include <vector>

#include "codecs/inner.h"

namespace penstock::internal {

// The codec that the filter's client values name, for people; nullptr when they do not. Chunks say it
// themselves.
const char* blosc_inner(const std::vector<std::uint32_t>& params);

// Bytes of work to decode up to `raw` bytes.
ByteCount blosc_work_bytes(ByteCount raw);
StageResult blosc_decode(In stored, Out out, Out work, CodecContext& context);

}  // namespace penstock::internal
