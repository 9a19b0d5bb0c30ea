// Errors that point. A query has one line as a rule, and may be long: what is shown is up to 60 characters on
// both sides of the place, and a caret under it.
//
//     query, position 23: obs has no column 'cel_line'; did you mean 'cell_line'?
//       drug != 'DMSO_TF' and cel_line == 'A549'
//                             ^
//
// Positions are counted in characters, because that is what an editor shows, while the parser counts bytes.
// In UTF-8 every byte of a character but the first one has the bits 10 in front.
#include "query/source_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::query {

namespace {

constexpr std::size_t kAround = 60;  // characters shown on each side of the caret

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

}  // namespace

Status SourceText::pointed(Status (*kind)(std::string), std::size_t at, std::string_view message) const {
  at = std::min(at, text_.size());
  const auto characters = [&](std::size_t first, std::size_t last) {
    return static_cast<std::size_t>(std::count_if(text_.begin() + static_cast<std::ptrdiff_t>(first),
                                                  text_.begin() + static_cast<std::ptrdiff_t>(last),
                                                  begins_character));
  };
  std::size_t first = at, last = at;
  for (std::size_t n = 0; first > 0 && n < kAround;) n += begins_character(text_[--first]) ? 1 : 0;
  for (std::size_t n = 0; last < text_.size() && n < kAround;) n += begins_character(text_[last++]) ? 1 : 0;
  // To the end of the last character, so that none is cut in half.
  while (last < text_.size() && !begins_character(text_[last])) ++last;
  std::string line(text_.substr(first, last - first));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';  // one line, and the caret below its place
  }
  const std::string_view before = first > 0 ? "..." : "", after = last < text_.size() ? "..." : "";
  return kind(fmt::format("{}, position {}: {}", label_, characters(0, at) + 1, message))
      .with_picture(fmt::format("\n  {}{}{}\n  {}^", before, line, after,
                                std::string(before.size() + characters(first, at), ' ')));
}

Status SourceText::error(std::size_t at, std::string_view message) const {
  return pointed(&Status::invalid_argument, at, message);
}

Status SourceText::not_found(std::size_t at, std::string_view message) const {
  return pointed(&Status::not_found, at, message);
}

}  // namespace penstock::query
