// What nodes have in common. Errors of a file begin with its path, errors of an array with its place in the
// file; locate() puts the two together, so that a message has the file once, in front:
//
//     message    x.h5ad: read failed at byte 4096           (from the file)
//     located    x.h5ad: /X/data: read failed at byte 4096
#include "store/store.h"

#include <fmt/format.h>

#include <utility>

#include "store/locate.h"

namespace penstock::store {

const Group* Node::as_group() const { return dynamic_cast<const Group*>(this); }
const Array* Node::as_array() const { return dynamic_cast<const Array*>(this); }

Result<std::vector<std::string>> Array::to_strings(std::span<const std::byte>, const DataType& type) const {
  return Status::unsupported(fmt::format("{}: {} inside of elements", where(), type.description));
}

Status locate(Status status, std::string_view file_label, std::string_view path) {
  if (status.ok()) return status;
  std::string message = status.message();
  if (status.file() == file_label) message.erase(0, file_label.size() + 2);
  return std::move(status).reworded(fmt::format("{}: {}", path, message)).with_file(file_label);
}

}  // namespace penstock::store
