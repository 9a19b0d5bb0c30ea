// How many cores this process may use.
#pragma once

#include <cstdint>

namespace penstock {

// min(CPU affinity, cgroup v2 or v1 quota rounded up), at least 1.
std::uint32_t usable_cores();

}  // namespace penstock
