// Collects what a target has to say: the messages of errors, each once, and a summary.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/status.h"
#include "require.h"

namespace penstock::fuzz {

class Outcome {
 public:
  // `label`: what messages about a damaged file must name.
  explicit Outcome(std::string_view label) : label_(label) {}

  // True when ok. An error is kept; one that says "bug of Penstock", or does not say which file, is a find.
  bool take(const Status& status) {
    if (status.ok()) return true;
    const std::string text = status.to_string();
    require(status.code() != StatusCode::internal, text);
    require(!status.message().empty(), "an error without a message");
    if (status.code() == StatusCode::corrupt || status.code() == StatusCode::unsupported ||
        status.code() == StatusCode::budget) {
      require(text.find(label_) != std::string::npos, "the file is not named: " + text);
    }
    if (lines_.size() < kMostLines && std::find(lines_.begin(), lines_.end(), text) == lines_.end()) {
      lines_.push_back(text);
    }
    return false;
  }

  // The messages, one a line; `summary` when there are none.
  std::string text(std::string summary) const {
    if (lines_.empty()) return summary + "\n";
    std::string all;
    for (const std::string& line : lines_) all += line + "\n";
    return all;
  }

 private:
  static constexpr std::size_t kMostLines = 20;
  const std::string label_;
  std::vector<std::string> lines_;
};

}  // namespace penstock::fuzz
