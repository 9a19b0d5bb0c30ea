// One block from the bytes that were read for it into the bins of its rows.
//
// Thread contract: a worker calls it with its own WorkerState, without the engine's lock; the task and its
// bytes are that worker's until the engine releases them.
#pragma once

#include <cstddef>

#include "engine/counts.h"
#include "engine/fetch.h"
#include "engine/scatter.h"
#include "engine/worker_state.h"
#include "penstock/status.h"
#include "setup/config.h"

namespace penstock::loader {

// Decodes the task's rows, and their labels, into `scatter`, which was made for it; `labels` is what scatter
// reads labels through. Fills in all of `counts`, whatever comes of it.
Status decode_block(const EngineConfig& config, BlockTask& task, const std::byte* bytes, BesideRows& beside,
                    Scatter& scatter, WorkerState& worker, BlockCounts* counts);

}  // namespace penstock::loader
