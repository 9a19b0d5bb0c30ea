// A batch out of its bin: compact rows -> CSR arrays or a dense block in a slot.
//
// Thread contract: a worker calls build_batch() with its own WorkerState; the window's bin is complete and
// the slot is the caller's alone.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/counts.h"
#include "engine/window.h"
#include "engine/worker_state.h"
#include "penstock/batch.h"
#include "penstock/status.h"
#include "setup/config.h"

namespace penstock::loader {

// Rows of batch `b` of a window and their entries in all; `error` is the number of the first failed row's
// error, or -1.
struct BatchExtent {
  std::uint64_t first_place = 0, rows = 0, entries = 0;
  std::int64_t error = -1;
};
BatchExtent batch_extent(Window& window, std::uint64_t b);

// Fills `slot`, which has EngineConfig::slot.bytes() of the extent. Deferred rows are read again here.
Result<Batch> build_batch(const EngineConfig& config, Window& window, std::uint64_t b,
                          const BatchExtent& extent, const std::shared_ptr<std::byte>& slot,
                          WorkerState& worker, AssembleCounts* counts);

}  // namespace penstock::loader
