// The buffers between the filters of a pipeline. Internal to src/codecs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/checked.h"
#include "codecs/codec.h"

namespace penstock::internal {

// The filter that is undone last writes to the caller's output; every other one that writes (fletcher32 does
// not) needs a buffer, and two take turns. A mask never needs more. `work` is for one filter at a time: blocks
// before they are turned back, and decoders.
struct StepPlan {
  std::size_t buffers = 0;  // 0, 1 or 2
  ByteCount bytes = 0;      // of each
  ByteCount work = 0;       // before them
  // All of it; saturates.
  ByteCount total() const { return saturating_add(saturating_mul(buffers, bytes), work); }
};
StepPlan plan_steps(const std::vector<FilterSpec>& filters, ByteCount decoded);

}  // namespace penstock::internal
