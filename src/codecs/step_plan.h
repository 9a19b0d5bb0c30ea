// The buffers between the filters of a pipeline. Internal to src/codecs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "codecs/codec.h"

namespace penstock::internal {

// The filter that is undone last writes to the caller's output; every other one that writes (fletcher32 does
// not) needs a buffer, and two take turns. A mask never needs more.
struct StepPlan {
  std::size_t buffers = 0;  // 0, 1 or 2
  ByteCount bytes = 0;      // of each
};
StepPlan plan_steps(const std::vector<FilterSpec>& filters, ByteCount decoded);

// The most bytes that a filter's encoder makes of `raw` bytes; saturates.
ByteCount most_encoded(std::uint16_t id, ByteCount raw);

}  // namespace penstock::internal
