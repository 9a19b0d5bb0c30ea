// What one filter came to: the currency between the codecs and the pipeline. Internal to src/codecs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codecs/codec.h"

namespace penstock::internal {

// full: there was more output than room; written is then meaningless.
enum class StageStatus : std::uint8_t { ok, full, bad_data, no_memory };

struct StageResult {
  StageStatus status = StageStatus::ok;
  std::size_t written = 0;
};

}  // namespace penstock::internal
