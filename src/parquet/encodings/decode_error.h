// What a decoder of values or levels came to. Kernels return it; the caller adds file, column and page.
#pragma once

#include <cstdint>

namespace penstock::parquet {

enum class [[nodiscard]] DecodeError : std::uint8_t{
    ok,
    truncated,     // the bytes end before the last value
    bad_width,     // a bit width that the type does not have
    bad_header,    // a run, block or length header that cannot be
    out_of_range,  // an index beyond the dictionary, a level beyond its maximum, a prefix beyond its string
    unsupported,   // this encoding does not go with this type
};

// "the bytes end before the last value", ...
const char* describe(DecodeError error);

}  // namespace penstock::parquet
