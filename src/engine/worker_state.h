// A worker's private memory, carved from one slab: scratch to decode and encode rows, to read some of them
// again, and to build batches.
//
// Thread contract: belongs to one worker.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/carver.h"
#include "codecs/codec.h"
#include "engine/encode.h"
#include "memory/slab.h"
#include "setup/config.h"
#include "source/request.h"

namespace penstock::loader {

// What parts there are. The function that hands them out measures them, too: see Carver.
struct WorkerMemory {
  static WorkerMemory carve(Carver& memory, const EngineConfig& config);

  std::span<std::byte> source_scratch, label_scratch, obsm_scratch;  // of decoding
  std::span<std::byte> encode;                                       // the RowEncoder's
  std::span<std::byte> reread;     // bytes of rows that are read here, not ahead
  std::span<std::byte> record;     // the fixed part of a row that is read again
  std::span<std::byte> dense_row;  // zeros; dense batches only
  // A row on its way to be transformed, in EngineConfig::stored and in the output type.
  std::span<std::byte> transformed, narrowed;
  std::span<std::byte> copies;  // of a block's rows, where rows are sampled
};

struct WorkerState : WorkerMemory {
  static Result<std::unique_ptr<WorkerState>> create(const EngineConfig& config);

  Slab slab;
  CodecContext codec;
  std::unique_ptr<RowEncoder> encoder;
  RequestList reread_requests;
  // Rows of the block at hand by bin, so that a bin's counter, which all workers share, is touched once per
  // block.
  std::vector<std::uint32_t> rows_in_bin;
  std::vector<std::uint32_t> bins_touched;
};

}  // namespace penstock::loader
