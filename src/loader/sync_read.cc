#include "loader/sync_read.h"

#include <fmt/format.h>

namespace penstock::loader {

Status read_requests(const RequestList& list, std::span<std::byte> out) {
  if (out.size() < list.total_bytes()) {
    return Status::internal(
        fmt::format("{} bytes to read again into a buffer of {}", list.total_bytes(), out.size()));
  }
  for (const ReadRequest& r : list.requests()) {
    PENSTOCK_RETURN_IF_ERROR(r.file->read_at(r.offset, out.first(r.bytes)));
    out = out.subspan(r.bytes);
  }
  return {};
}

}  // namespace penstock::loader
