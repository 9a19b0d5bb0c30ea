// Bitshuffle: n elements that lie as planes of bits (the lowest bit of every first byte, the next one, ...)
// become elements again; and HDF5's filter 32008, which does that block by block and may compress blocks with
// lz4 or zstd. (Bitshuffle's README and src/bshuf_h5filter.h say what is stored.)
//
// Pure functions: never write outside `out` and `work` nor read outside `stored`, whatever they hold.
#pragma once

#include <cstdint>
#include <vector>

#include "codecs/inner.h"
#include "penstock/status.h"

namespace penstock::internal {

// `in` and `out` hold elements * item_size bytes each and do not overlap; `elements` is a multiple of 8.
void unshuffle_bits(const std::byte* in, std::size_t elements, std::size_t item_size, std::byte* out);

// The filter's client values: version x 2, bytes of an element, elements of a block (0: as many as 8 KiB have)
// and the compression (0 none, 2 lz4, 3 zstd). `corrupt` or `unsupported` where they make no sense.
Status check_bitshuffle(const std::vector<std::uint32_t>& params);
// "lz4", "zstd", or nullptr for none.
const char* bitshuffle_inner(const std::vector<std::uint32_t>& params);

// Bytes of work to decode up to `raw` bytes.
ByteCount bitshuffle_work_bytes(const std::vector<std::uint32_t>& params, ByteCount raw);
StageResult bitshuffle_decode(In stored, Out out, const std::vector<std::uint32_t>& params, Out work);

}  // namespace penstock::internal
