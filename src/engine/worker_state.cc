// One slab a worker, taken when the engine is made, so that nothing is allocated for a block or a row. The
// plan asks the same function that carves it how much that is (scratch_per_worker()).
#include "engine/worker_state.h"

#include <algorithm>

#include "setup/segment_copies.h"

namespace penstock::loader {
namespace {

// The least room for the fixed part of a record: more than number, total and as many labels as there may be
// take, so that the scratch of a thread does not depend on which labels travel along.
constexpr ByteCount kRecordRoom = 4096;

// Of WorkerState::rows_in_bin and bins_touched.
ByteCount counter_bytes(const EngineConfig& config) {
  return 2 * config.window.n_bins * sizeof(std::uint32_t);
}

ByteCount slab_bytes(const EngineConfig& config) {
  Carver measured;
  WorkerMemory::carve(measured, config);
  return measured.used();
}

}  // namespace

WorkerMemory WorkerMemory::carve(Carver& memory, const EngineConfig& config) {
  WorkerMemory parts;
  parts.source_scratch = memory.bytes(config.source_scratch_bytes);
  parts.label_scratch = memory.bytes(config.label_scratch_bytes);
  parts.obsm_scratch = memory.bytes(config.obsm_scratch_bytes);
  parts.encode = memory.bytes(RowEncoder::bytes_needed(config.longest_row, config.n_cols, config.stored));
  parts.reread = memory.bytes(config.block_fetch_bytes);
  parts.record = memory.bytes(std::max(kRecordRoom, config.record.fixed_bytes()));
  // With a cache line behind it that no column is in.
  if (config.options.format == BatchFormat::dense)
    parts.dense_row = memory.bytes(config.n_cols * numeric_size(config.output) + Carver::kAlign);
  if (config.transforms()) {
    // Of any type.
    parts.transformed = memory.bytes(config.longest_delivered() * sizeof(double));
    parts.narrowed = memory.bytes(config.longest_delivered() * sizeof(double));
  }
  parts.copies = memory.bytes(config.copies_bytes());
  return parts;
}

ByteCount EngineConfig::scratch_per_worker() const {
  return slab_bytes(*this) + CodecContext::fixed_bytes() + counter_bytes(*this);
}

ByteCount EngineConfig::copies_bytes() const {
  return sampling ? SegmentCopies::bytes_needed(blocks.largest()) : 0;
}

Result<std::unique_ptr<WorkerState>> WorkerState::create(const EngineConfig& config) {
  auto state = std::make_unique<WorkerState>();
  PENSTOCK_ASSIGN_OR_RETURN(state->slab, Slab::map(slab_bytes(config), true));
  Carver memory(state->slab.data());
  static_cast<WorkerMemory&>(*state) = carve(memory, config);
  state->encoder =
      std::make_unique<RowEncoder>(state->encode, config.longest_row, config.n_cols, config.stored);
  state->rows_in_bin.resize(config.window.n_bins);
  state->bins_touched.reserve(config.window.n_bins);
  return state;
}

}  // namespace penstock::loader
