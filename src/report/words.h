// The report's head lines: what ran, what held it up, what to change.
//
// Thread contract: pure functions.
#pragma once

#include <string>
#include <vector>

#include "penstock/loader.h"
#include "penstock/plan.h"

namespace penstock::report {

// "100,000 cells x 62,710 genes from 4 files, ..." One sentence each.
std::vector<std::string> what_ran(const Plan& plan, const LoaderStats& stats);

enum class Bottleneck : std::uint8_t { nothing_ran, model, reading, decoding, memory, batches_held };

struct Verdict {
  Bottleneck bottleneck = Bottleneck::nothing_ran;
  std::string title;                // "Decoding was the bottleneck"
  std::vector<std::string> advice;  // why, and what to change
};
// `cores`: those this process may use.
Verdict judge(const Plan& plan, const LoaderStats& stats, std::uint32_t cores);

}  // namespace penstock::report
