// What is said of each finding, and what it means for the walk. The same damage is met more than once: by the
// open, by the chunk, by the column that uses it. Messages that were given already are remembered, up to a
// bound, so that a report is not the same line a thousand times.
#include "source/verify_log.h"

#include <algorithm>
#include <utility>

namespace penstock {

void VerifyLog::bad(const std::string& message) {
  if (counting_ || said_.contains(message)) return;
  // Beyond the bound messages may repeat; memory does not grow with the damage.
  if (said_.size() < kRemembered) said_.insert(message);
  ++result_.bad;
  if (options_.report) options_.report(message);
}

void VerifyLog::not_checked(std::string what) {
  if (counting_ || said_.contains(what)) return;
  if (said_.size() < kRemembered) said_.insert(what);
  result_.not_checked.push_back(std::move(what));
}

Status VerifyLog::take(Status status) {
  // The walk that counts says nothing, and goes on.
  if (status.ok() || counting_) return {};
  if (status.code() == StatusCode::budget) return status;
  if (status.code() == StatusCode::unsupported) {
    not_checked(status.message());
  } else {
    bad(status.message());
  }
  return {};
}

Status VerifyLog::take_read(Status status) {
  if (status.code() != StatusCode::unsupported) return take(std::move(status));
  bad(status.message());
  return {};
}

void VerifyLog::step() {
  ++done_;
  // A walk may take more steps than were counted, where an error ended the counting early; progress never
  // goes beyond its end.
  if (options_.progress) options_.progress(done_, std::max(done_, total_));
}

}  // namespace penstock
