// Big-endian numbers, as the filters lz4 and bitshuffle write them. Internal to src/codecs.
#pragma once

#include "base/byte_reader.h"

namespace penstock::internal {

inline std::uint32_t big_u32(ByteReader& r) { return __builtin_bswap32(r.u32()); }
inline std::uint64_t big_u64(ByteReader& r) { return __builtin_bswap64(r.u64()); }

}  // namespace penstock::internal
