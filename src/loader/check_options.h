// Whether the options of a loader make sense, before any file is looked at.
//
// Thread contract: pure.
#pragma once

#include <cstdint>

#include "penstock/options.h"
#include "penstock/status.h"

namespace penstock::loader {

inline constexpr std::uint32_t kMaxThreads = 256;

// invalid_argument that names the option, what it may be and what it is. What depends on the data is checked
// where it is used: names of obs columns, weights, a checkpoint.
Status check_options(const LoaderOptions& options);

}  // namespace penstock::loader
