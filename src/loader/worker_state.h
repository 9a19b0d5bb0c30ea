// A worker's private memory, carved from one slab: decode scratch, encode buffers, label scratch, a buffer to
// read deferred rows again, a zeroed dense row.
//
// Thread contract: belongs to one worker.
#pragma once

#include <memory>
#include <vector>

#include "codecs/codec.h"
#include "loader/config.h"
#include "loader/encode.h"
#include "memory/slab.h"
#include "source/request.h"

namespace penstock::loader {

struct WorkerState {
  static Result<std::unique_ptr<WorkerState>> create(const EngineConfig& config);

  Slab slab;
  CodecContext codec;
  std::span<std::byte> source_scratch, label_scratch, reread, dense_row;
  std::span<std::byte>
      row;  // a row on its way to be transformed, in EngineConfig::stored and in the output type
  std::span<std::byte> copies;  // of a block's rows, where rows are sampled
  std::unique_ptr<RowEncoder> encoder;
  RequestList reread_requests;
  // Rows of the block at hand by bin, so that a bin's counter, which all workers share, is touched once per
  // block.
  std::vector<std::uint32_t> rows_in_bin;
  std::vector<std::uint32_t> bins_touched;
};

}  // namespace penstock::loader
