// What verify() has found so far, and how far it is.
//
// A walk goes through a file twice with the same code: once to count its steps (counting() is true, and
// nothing is said), once to take them.
//
// Thread contract: externally synchronised. Memory: the first kRemembered messages.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "penstock/status.h"
#include "penstock/verify.h"

namespace penstock {

class VerifyLog {
 public:
  explicit VerifyLog(const VerifyOptions& options) : options_(options) {}

  // While counting, a walk calls expect() where it would take steps, and decodes nothing.
  bool counting() const { return counting_; }
  void expect(std::uint64_t steps) { total_ += steps; }
  void begin() { counting_ = false; }

  // Something is wrong. A message that was said before is not said again: an open, a chunk and a column may
  // fail at the same bytes.
  void bad(const std::string& message);
  // Whether a walk can go on after this status: what is valid but not read is noted, a refusal of the budget
  // ends the walk and is returned, everything else is bad().
  Status take(Status status);
  // As take(), where what was opened cannot be read after all: that is bad() even if it is valid, such as a
  // null in a matrix, since an epoch or a column fails at it.
  Status take_read(Status status);
  void not_checked(std::string what);
  void matrix(std::string name) {
    if (!counting_) result_.matrices.push_back(std::move(name));
  }
  // A chunk or page came out as so many bytes, or would have.
  void chunk(std::uint64_t bytes) {
    ++result_.chunks;
    result_.bytes += bytes;
  }
  void step();

  VerifyResult& result() { return result_; }

 private:
  static constexpr std::size_t kRemembered = 10'000;

  const VerifyOptions& options_;
  bool counting_ = true;
  std::uint64_t done_ = 0, total_ = 0;
  std::set<std::string> said_;
  VerifyResult result_;
};

}  // namespace penstock
