#include "loader/worker_state.h"

#include "base/checked.h"
#include "loader/segment_copies.h"

namespace penstock::loader {
namespace {
constexpr ByteCount kAlign = 64;
}

ByteCount EngineConfig::scratch_per_worker() const {
  return round_up(source_scratch_bytes, kAlign) + round_up(label_scratch_bytes, kAlign) +
         round_up(RowEncoder::bytes_needed(longest_row, n_cols, stored), kAlign) +
         round_up(block_fetch_bytes, kAlign) +
         (options.format == BatchFormat::dense ? round_up(n_cols * numeric_size(output) + kAlign, kAlign)
                                               : 0) +
         round_up(copies_bytes(), kAlign) +
         (transforms() ? 2 * round_up(longest_delivered() * sizeof(double), kAlign) : 0) +
         CodecContext::fixed_bytes() + 2 * window.n_bins * sizeof(std::uint32_t) + 4096;
}

ByteCount EngineConfig::copies_bytes() const {
  return sampling ? SegmentCopies::bytes_needed(blocks.largest()) : 0;
}

Result<std::unique_ptr<WorkerState>> WorkerState::create(const EngineConfig& config) {
  auto state = std::make_unique<WorkerState>();
  PENSTOCK_ASSIGN_OR_RETURN(state->slab, Slab::map(config.scratch_per_worker() - CodecContext::fixed_bytes() -
                                                       2 * config.window.n_bins * sizeof(std::uint32_t),
                                                   true));
  std::span<std::byte> free = state->slab.bytes();
  const auto carve = [&free](ByteCount bytes) {
    const auto part = free.first(bytes);
    free = free.subspan(round_up(bytes, kAlign));
    return part;
  };
  state->source_scratch = carve(config.source_scratch_bytes);
  state->label_scratch = carve(config.label_scratch_bytes);
  const auto encode = carve(RowEncoder::bytes_needed(config.longest_row, config.n_cols, config.stored));
  state->encoder = std::make_unique<RowEncoder>(encode, config.longest_row, config.n_cols, config.stored);
  state->reread = carve(config.block_fetch_bytes);
  if (config.options.format == BatchFormat::dense)
    state->dense_row = carve(config.n_cols * numeric_size(config.output));
  if (config.transforms())
    state->row = carve(2 * round_up(config.longest_delivered() * sizeof(double), kAlign));
  state->copies = carve(config.copies_bytes());
  state->rows_in_bin.resize(config.window.n_bins);
  state->bins_touched.reserve(config.window.n_bins);
  return state;
}

}  // namespace penstock::loader
