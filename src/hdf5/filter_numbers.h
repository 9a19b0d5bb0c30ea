// HDF5's registered numbers of filters, and which of them are read.
//
// Source: HDF5 File Format Specification 3.0, IV.A.2.l, and the HDF Group's registry of filters. Thread
// contract: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "codecs/codec.h"
#include "penstock/status.h"

namespace penstock::hdf5 {

// A filter as a file names it.
struct StoredFilter {
  std::uint16_t number = 0;
  std::vector<std::uint32_t> params;  // client values
  std::string name;                   // as stored, for messages; may be empty
};

// "deflate", "zstd", ...; empty for a number that is not well known.
std::string_view filter_name(std::uint16_t number);
// `unsupported`, with number, well-known and stored name, for a filter that is not read.
Result<std::vector<FilterSpec>> filters_of(std::vector<StoredFilter> stored);

}  // namespace penstock::hdf5
