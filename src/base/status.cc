#include "penstock/status.h"

#include <cerrno>

namespace penstock {

std::string_view status_code_name(StatusCode code) {
  switch (code) {
    case StatusCode::ok:
      return "ok";
    case StatusCode::invalid_argument:
      return "invalid_argument";
    case StatusCode::not_found:
      return "not_found";
    case StatusCode::unsupported:
      return "unsupported";
    case StatusCode::corrupt:
      return "corrupt";
    case StatusCode::io_error:
      return "io_error";
    case StatusCode::budget:
      return "budget";
    case StatusCode::cancelled:
      return "cancelled";
    case StatusCode::internal:
      return "internal";
  }
  return "unknown";
}

Status Status::path_not_found(std::string m) { return {StatusCode::not_found, std::move(m), ENOENT}; }

std::string Status::to_string() const {
  if (ok()) return "ok";
  return std::string(status_code_name(code_)) + ": " + message_;
}

Status Status::with_context(std::string_view context) && {
  if (!ok()) message_ = std::string(context) + ": " + message_;
  return std::move(*this);
}

}  // namespace penstock
