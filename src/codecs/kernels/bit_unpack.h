// Unpacks integers of `width` bits, packed one after the other from the least significant bit on (Parquet's
// bit-packed runs), to 32 bits each.
//
// in: ceil(n * width / 8) bytes; up to `readable` bytes from there on may be read (at least as many), none
// beyond: where more follow, the last values cost no more than the others. width: 0 to 32. Returns the
// largest value (0 without any), for checks against a bound. Thread contract: pure function.
#pragma once

#include <cstddef>
#include <cstdint>

namespace penstock::internal {

std::uint32_t bit_unpack(const std::byte* in, std::size_t readable, int width, std::size_t n,
                         std::uint32_t* out);

}  // namespace penstock::internal
