// Names of HDF5's registered filters, built or not, for messages.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::internal {

// "deflate", "zstd", ...; empty for an id that is not well known.
std::string_view filter_name(std::uint16_t id);

}  // namespace penstock::internal
