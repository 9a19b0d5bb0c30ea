// Puts "file: /object: " before a message, once: errors of File already begin with the file.
#pragma once

#include <string>
#include <string_view>

#include "penstock/status.h"
#include "store/store.h"

namespace penstock::store {

Status locate(Status status, std::string_view file_label, std::string_view path);
inline Status locate(Status status, const Node& node) {
  return status.ok() ? status : locate(std::move(status), node.file_label(), node.path());
}

}  // namespace penstock::store
