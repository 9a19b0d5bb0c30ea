// A message has up to three parts, and later code needs them apart without looking for words in it:
//
//     rank 3: memory=64 MB cannot hold this plan: ... beside 12 MB. Use batch_size <= 117 or memory >= 98 MB.
//     context headline                                             ending: the ways out
//
// Contexts are put in front as the error goes up, by callers who know what the one below does not:
// the chunk, the object, the file. The ending stays last and can be replaced, because a caller
// further up may know other ways out.

#include "penstock/status.h"

#include <algorithm>
#include <cerrno>

namespace penstock {

// Few errors have them, and a Status is in every Result: so they lie outside of it. Shared between copies,
// and copied again before a change.
struct Status::Details {
  ErrorFacts facts;
  // How many bytes at the end of the message are the ways out, or a picture. Counted from the end, so that a
  // context in front moves nothing.
  std::size_t ending = 0;
  bool ends_in_picture = false;
  // How many bytes at the beginning of the message are a file's name.
  std::size_t file = 0;
};

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

std::string_view option_name(Option option) {
  switch (option) {
    case Option::memory:
      return "memory";
    case Option::shared_budget:
      return "shared_budget";
    case Option::index_memory:
      return "index_memory";
    case Option::batch_size:
      return "batch_size";
    case Option::window_rows:
      return "window_rows";
    case Option::block_rows:
      return "block_rows";
    case Option::format:
      return "format";
    case Option::dtype:
      return "dtype";
  }
  return "unknown";
}

const WayOut* ErrorFacts::way_out(Option option) const {
  const auto found = std::find_if(ways_out.begin(), ways_out.end(),
                                  [option](const WayOut& way) { return way.option == option; });
  return found == ways_out.end() ? nullptr : &*found;
}

Status Status::path_not_found(std::string m) { return {StatusCode::not_found, std::move(m), ENOENT}; }

std::string Status::to_string() const {
  if (ok()) return "ok";
  return std::string(status_code_name(code_)) + ": " + message_;
}

const ErrorFacts& Status::facts() const {
  static const ErrorFacts kNone;
  return details_ == nullptr ? kNone : details_->facts;
}

std::string_view Status::headline() const {
  // The ending is known by its length, not by its words.
  const std::string_view message = message_;
  return message.substr(0, message.size() - (details_ == nullptr ? 0 : details_->ending));
}

// Copies of a Status share their details, so whoever changes them makes a copy first. Errors are rare,
// and copies of them rarer.
Status::Details& Status::details() {
  auto own = details_ == nullptr ? std::make_shared<Details>() : std::make_shared<Details>(*details_);
  Details& details = *own;
  details_ = std::move(own);
  return details;
}

std::string_view Status::picture() const {
  if (details_ == nullptr || !details_->ends_in_picture) return {};
  return std::string_view(message_).substr(headline().size());
}

void Status::set_ending(std::string_view text, bool picture) {
  message_.resize(headline().size());
  message_ += text;
  Details& mine = details();
  mine.ending = text.size();
  mine.ends_in_picture = picture;
}

Status Status::reworded(std::string message) && {
  if (ok()) return std::move(*this);
  message_ = std::move(message);
  // What stood at the end may stand in the middle now, or nowhere.
  if (details_ != nullptr) {
    Details& mine = details();
    mine.ending = 0;
    mine.ends_in_picture = false;
    mine.file = 0;
  }
  return std::move(*this);
}

Status Status::with_bytes(std::uint64_t needed, std::uint64_t free) && {
  if (ok()) return std::move(*this);
  Details& mine = details();
  mine.facts.needed_bytes = needed;
  mine.facts.free_bytes = free;
  return std::move(*this);
}

Status Status::with_way_out(Option option) && {
  // Only the fact: the message has said it in its own words.
  if (!ok()) details().facts.ways_out.push_back({option, {}, 0, {}});
  return std::move(*this);
}

Status Status::with_ways_out(std::vector<WayOut> ways) && {
  if (ok()) return std::move(*this);
  std::vector<std::string_view> texts;
  for (const WayOut& way : ways) {
    if (!way.text.empty()) texts.push_back(way.text);
  }
  std::string sentence;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    sentence += i == 0 ? ". Use " : i + 1 < texts.size() ? ", " : " or ";
    sentence += texts[i];
  }
  if (!sentence.empty()) sentence += '.';
  set_ending(sentence, false);
  details().facts.ways_out = std::move(ways);
  return std::move(*this);
}

Status Status::with_picture(std::string_view lines) && {
  if (!ok()) set_ending(lines, true);
  return std::move(*this);
}

Status Status::with_context(std::string_view context) && {
  if (ok()) return std::move(*this);
  message_ = std::string(context) + ": " + message_;
  if (!file().empty()) details().file = 0;
  return std::move(*this);
}

Status Status::with_file(std::string_view label) && {
  if (ok()) return std::move(*this);
  Status named = std::move(*this).with_context(label);
  named.details().file = label.size();
  return named;
}

std::string_view Status::file() const {
  return std::string_view(message_).substr(0, details_ == nullptr ? 0 : details_->file);
}

}  // namespace penstock
