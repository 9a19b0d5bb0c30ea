#include "store/store.h"

#include <fmt/format.h>

#include "store/locate.h"

namespace penstock::store {

const Group* Node::as_group() const { return dynamic_cast<const Group*>(this); }
const Array* Node::as_array() const { return dynamic_cast<const Array*>(this); }

Status locate(Status status, std::string_view file_label, std::string_view path) {
  if (status.ok()) return status;
  std::string_view message = status.message();
  const std::string file = fmt::format("{}: ", file_label);
  if (message.starts_with(file)) message.remove_prefix(file.size());
  return {status.code(), fmt::format("{}{}: {}", file, path, message), status.system_errno()};
}

}  // namespace penstock::store
