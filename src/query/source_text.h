// The text of a query, and errors that point into it.
//
// Thread contract: a value that views its text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "penstock/status.h"

namespace penstock::query {

class SourceText {
 public:
  // `label`: what messages call it, "query".
  SourceText(std::string_view label, std::string_view text) : label_(label), text_(text) {}

  std::string_view text() const { return text_; }
  // invalid_argument that says the position (in characters, from 1) of byte `at`, then the line with a caret
  // under it.
  Status error(std::size_t at, std::string_view message) const;
  Status not_found(std::size_t at, std::string_view message) const;

 private:
  Status pointed(Status (*kind)(std::string), std::size_t at, std::string_view message) const;
  std::string_view label_, text_;
};

}  // namespace penstock::query
