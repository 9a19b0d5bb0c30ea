// Requests in their order, one after the other, into one buffer: the layout that Fetched looks bytes up in.
#include "source/read_requests.h"

#include <fmt/format.h>

namespace penstock {

Status read_requests(const RequestList& list, std::span<std::byte> out) {
  if (out.size() < list.total_bytes()) {
    return Status::internal(
        fmt::format("{} bytes to read into a buffer of {}", list.total_bytes(), out.size()));
  }
  for (const ReadRequest& request : list.requests()) {
    PENSTOCK_RETURN_IF_ERROR(request.file->read_at(request.offset, out.first(request.bytes)));
    out = out.subspan(request.bytes);
  }
  return {};
}

Result<Fetched> read_requests(const RequestList& list, ReservedBuffer& buffer) {
  PENSTOCK_RETURN_IF_ERROR(buffer.grow_to(list.total_bytes()));
  PENSTOCK_RETURN_IF_ERROR(read_requests(list, buffer.bytes()));
  return Fetched(list.requests(), buffer.bytes().data());
}

}  // namespace penstock
