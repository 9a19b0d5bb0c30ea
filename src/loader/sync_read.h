// Reads a RequestList on the calling thread; for planning and for rows that are read again. The data path
// proper reads ahead on I/O threads (engine.h).
#pragma once

#include <cstddef>
#include <span>

#include "penstock/status.h"
#include "source/request.h"

namespace penstock::loader {

// Fills `out` (at least list.total_bytes() long) request after request, as Fetched expects them.
Status read_requests(const RequestList& list, std::span<std::byte> out);

}  // namespace penstock::loader
