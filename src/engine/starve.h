// Takes pages away from windows on purpose, to see that rows which find none come all the same. Tests only.
//
// A row that finds no page is deferred, and read again when its batch is built. The planner leaves room for
// all rows, so that no file of a sensible size shows it.
//
// Thread contract: thread-safe; one test at a time, for it holds for all of the process.
#pragma once

#include <cstdint>

namespace penstock::testing {

// Bytes of pages that loaders made from now on really have, whatever was planned; 0: what was planned.
void starve_windows(std::uint64_t bytes);
std::uint64_t starved_window_bytes();

// Until it dies.
class StarvedWindows {
 public:
  explicit StarvedWindows(std::uint64_t bytes) { starve_windows(bytes); }
  ~StarvedWindows() { starve_windows(0); }
  StarvedWindows(const StarvedWindows&) = delete;
  StarvedWindows& operator=(const StarvedWindows&) = delete;
};

}  // namespace penstock::testing
