#include "loader/epoch_cost.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "plan/tape.h"

namespace penstock::loader {
namespace {

// Adds or takes away what a run of a block's selected rows takes to read; as Engine::admit() asks for it.
class Measure {
 public:
  explicit Measure(const EngineConfig& config) : c_(config) {}

  // sign: 1 adds, -1 takes away (unsigned sums wrap there and back as intended).
  Status add(const plan::Segment& segment, const plan::TapeRuns* line, int sign, EpochCost* sum,
             std::vector<ByteCount>* by_file) {
    const plan::Block& block = c_.blocks[segment.block];
    wanted_.clear();
    c_.rows_to_read(segment, line, wanted_);
    return add_wanted(block.file, sign, sum, by_file);
  }
  // All of these rows of a file, selected or not.
  Status add_rows(std::uint32_t file, RowRange rows, EpochCost* sum, std::vector<ByteCount>* by_file) {
    wanted_.assign(1, rows);
    return add_wanted(file, 1, sum, by_file);
  }
  ByteCount bytes = 0;  // of the last run

 private:
  Status add_wanted(std::uint32_t file, int sign, EpochCost* sum, std::vector<ByteCount>* by_file) {
    const RowSource& source = *c_.parts[file].source;
    list_.clear();
    PENSTOCK_RETURN_IF_ERROR(source.requests(wanted_, Heads::estimated, list_));
    PENSTOCK_RETURN_IF_ERROR(c_.labels.requests(file, {wanted_.front().first, wanted_.back().last}, list_));
    list_.coalesce(kCoalesceGap, kCoalesceMax);
    bytes = list_.total_bytes();
    const auto scale = static_cast<std::uint64_t>(sign);
    sum->bytes_to_read += scale * bytes;
    (*by_file)[file] += scale * bytes;
    sum->requests += scale * list_.requests().size();
    sum->bytes_to_decode += scale * source.cost(wanted_).decoded;
    return {};
  }

  const EngineConfig& c_;
  RequestList list_;
  std::vector<RowRange> wanted_;
};

}  // namespace

Result<BlockTotals> total_blocks(const EngineConfig& config) {
  BlockTotals totals;
  totals.by_file.resize(config.parts.size());
  Measure measure(config);
  for (std::uint64_t i = 0; i < config.blocks.size(); ++i) {
    const plan::Block& block = config.blocks[i];
    PENSTOCK_RETURN_IF_ERROR(
        measure.add({i, 0, block.selected, 0}, nullptr, 1, &totals.cost, &totals.by_file));
    const ByteCount tails = config.parts[block.file].source->traits().largest_chunks;
    totals.largest = std::max(totals.largest, measure.bytes + tails);
  }
  return totals;
}

Result<ByteCount> bytes_of_all_rows(const EngineConfig& config) {
  Measure measure(config);
  EpochCost cost;
  std::vector<ByteCount> by_file(config.parts.size());
  const RowIndex step = config.window.block_rows;
  for (std::uint32_t f = 0; f < config.parts.size(); ++f) {
    const RowSource& source = *config.parts[f].source;
    const RowIndex n = source.traits().n_rows;
    for (RowIndex first = 0, last = 0; first < n; first = last) {
      last = config.state.block_rows_exact ? first + std::min(step, n - first)
                                           : std::min(source.cut(first, step), n);
      PENSTOCK_RETURN_IF_ERROR(measure.add_rows(f, {first, last}, &cost, &by_file));
    }
  }
  return cost.bytes_to_read;
}

Result<EpochCost> epoch_cost(const EngineConfig& config, const plan::EpochPart& part,
                             const BlockTotals* whole, std::vector<ByteCount>* by_file) {
  const bool all = !config.sampling && part.share.first == 0 && part.share.last == config.blocks.rows() &&
                   part.batches_done == 0;
  EpochCost cost;
  std::vector<ByteCount> files(config.parts.size());
  if (whole != nullptr && all) {
    cost = whole->cost;
    files = whole->by_file;
  } else {
    whole = nullptr;
  }
  Measure measure(config);
  const plan::Tape tape = config.tape(part.epoch);
  plan::WindowSequence windows(part.share, config.options.batch_size, config.window.window_rows, part.ramp);
  windows.skip(part.batches_done);
  const plan::TapeRuns* line = part.line ? &*part.line : nullptr;
  std::optional<plan::TapeCursor> cursor;
  while (const auto window = windows.next()) {
    if (!cursor || cursor->tape_row() != window->first) cursor.emplace(&tape, window->first, line);
    plan::Segment segment;
    while (cursor->next(window->first + window->rows, &segment)) {
      const plan::Block& block = config.blocks[segment.block];
      // Only what differs from reading the block once and whole, when that has been counted. The window that
      // evens out ranks reads its row once more.
      if (whole != nullptr && !window->repeat) {
        if (segment.rows == block.selected) continue;
        if (segment.skip == 0)
          PENSTOCK_RETURN_IF_ERROR(
              measure.add({segment.block, 0, block.selected, 0}, nullptr, -1, &cost, &files));
      }
      PENSTOCK_RETURN_IF_ERROR(measure.add(segment, line, 1, &cost, &files));
    }
  }
  if (by_file != nullptr) *by_file = std::move(files);
  return cost;
}

}  // namespace penstock::loader
