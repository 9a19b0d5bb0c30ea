#include "loader/sync_read.h"

#include "base/check.h"

namespace penstock::loader {

Status read_requests(const RequestList& list, std::span<std::byte> out) {
  PENSTOCK_CHECK(out.size() >= list.total_bytes());
  for (const ReadRequest& r : list.requests()) {
    PENSTOCK_RETURN_IF_ERROR(r.file->read_at(r.offset, out.first(r.bytes)));
    out = out.subspan(r.bytes);
  }
  return {};
}

}  // namespace penstock::loader
