// Reads a RequestList on the calling thread: for metadata, planning and checking. The data path proper reads
// ahead on threads of its own (src/engine/fetch.h).
#pragma once

#include <cstddef>
#include <span>

#include "memory/reserved_buffer.h"
#include "penstock/status.h"
#include "source/request.h"

namespace penstock {

// Fills `out` (at least list.total_bytes() long) request after request, as Fetched expects them.
Status read_requests(const RequestList& list, std::span<std::byte> out);
// The same into a buffer that grows as it must; what is in memory then, until the list or the buffer changes.
Result<Fetched> read_requests(const RequestList& list, ReservedBuffer& buffer);

}  // namespace penstock
