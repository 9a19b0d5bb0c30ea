// Values of BYTE_ARRAY columns that are not dictionary-coded: PLAIN, DELTA_LENGTH_BYTE_ARRAY and
// DELTA_BYTE_ARRAY (also of FIXED_LEN_BYTE_ARRAY).
//
// Thread contract: externally synchronised. Borrows the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "parquet/encodings/decode_error.h"
#include "parquet/metadata.h"

namespace penstock::parquet {

// Calls f(value) for each of the n_values values of a page's value section, in order; the view is valid
// during the call only. Stops, and returns ok, when f returns false. This is a metadata path (obs strings):
// DELTA_BYTE_ARRAY allocates one value; a DELTA header of more lengths than n_values is `bad_header`, so that
// n_values bounds the time. A value is never longer than the section for PLAIN and DELTA_LENGTH, and is
// bounded by max_value_bytes for DELTA_BYTE_ARRAY (prefixes can grow without bound): longer is
// `out_of_range`.
DecodeError for_each_byte_array(Encoding encoding, PhysicalType type, std::uint32_t type_length,
                                std::span<const std::byte> values, std::uint64_t n_values,
                                std::uint64_t max_value_bytes,
                                const std::function<bool(std::string_view)>& f);

}  // namespace penstock::parquet
