// How many bytes an epoch reads is not estimated but counted: each block's requests are made, joined and
// added up exactly as the engine does it, and thrown away. So the plan's number is the one that the counters
// show in the end, but for rows that had to be read twice.
//
// An epoch costs what all blocks cost, each read once, but for the blocks that an edge of a window or of a
// rank's share cuts in two: both sides read the chunk that the edge runs through. A run of a thousand windows
// has some thousand such blocks among perhaps a million, so that for a whole epoch only those are measured.
// Such a block is taken away from the sum once, when its first part is met, and each of its parts is added:
//
//     blocks     | 0        | 1        | 2        |   three whole blocks: 30 + 30 + 30 = 90 KB
//     windows    |             |                  |   block 1 takes 8 + 26 KB in parts: 90 - 30 + 34 = 94 KB

#include "setup/epoch_cost.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "plan/tape.h"
#include "setup/turned_groups.h"
#include "source/column_major.h"

namespace penstock::loader {
namespace {

// Adds or takes away what a run of a block's selected rows takes to read; as Engine::admit() asks for it.
// The lists are members so that a pass over a million blocks does not allocate a million times.
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
  // All of these rows of a file, selected or not. For bytes_of_all_rows(), which asks what the same files
  // would cost without a selection.
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
    PENSTOCK_RETURN_IF_ERROR(c_.requests_beside(file, wanted_, list_));
    list_.coalesce(kCoalesceGap, kCoalesceMax);
    bytes = list_.total_bytes();
    const auto scale = static_cast<std::uint64_t>(sign);
    sum->bytes_to_read += scale * bytes;
    (*by_file)[file] += scale * bytes;
    sum->requests += scale * list_.requests().size();
    // The labels' bytes count as read and not as decoded: bytes_to_decode is of X.
    sum->bytes_to_decode += scale * source.cost(wanted_).decoded;
    return {};
  }

  const EngineConfig& c_;
  RequestList list_;
  std::vector<RowRange> wanted_;
};

void add_pass(const ColumnMajor& columns, EpochCost* sum) {
  const ReadCost pass = columns.pass_cost();
  sum->bytes_to_read += pass.stored;
  sum->bytes_to_decode += pass.decoded;
  sum->requests += pass.requests;
}

// The passes that the engine's Turner will make: one for each group of rows, over each file that has some.
void add_passes(const EngineConfig& config, const plan::EpochPart& part, EpochCost* cost,
                std::vector<ByteCount>* by_file) {
  const plan::TapeRuns* line = part.line ? &*part.line : nullptr;
  const plan::Tape tape = config.tape(part.epoch);
  plan::WindowSequence windows(part.share, config.window.window_rows, part.ramp);
  windows.skip(part.batches_done);
  std::optional<plan::TapeCursor> cursor;
  std::vector<RowRange> wanted;
  std::vector<std::uint64_t> passes(config.parts.size());
  std::vector<char> touched(config.parts.size());
  std::uint64_t first = 0, last = 0;  // of the group at hand
  while (const auto window = windows.next()) {
    const std::uint64_t end = window->first + window->rows;
    for (std::uint64_t row = window->first; row < end; row = last) {
      if (row >= first && row < last) continue;
      if (!cursor || cursor->tape_row() != row) cursor.emplace(&tape, row, line);
      touched.assign(touched.size(), 0);
      walk_group(config, line, *cursor, std::max(part.share.last, end), TurnedSizes::capacity(config), wanted,
                 [&](std::uint32_t file, std::span<const RowRange>) { touched[file] = 1; });
      first = row;
      last = cursor->tape_row();
      for (std::size_t f = 0; f < touched.size(); ++f) {
        if (touched[f] == 0) continue;
        const ColumnMajor& columns = *config.parts[f].source->by_columns();
        add_pass(columns, cost);
        (*by_file)[f] += columns.pass_cost().stored;
        cost->passes = std::max(cost->passes, ++passes[f]);
      }
    }
  }
}

}  // namespace

Result<BlockTotals> total_blocks(const EngineConfig& config) {
  BlockTotals totals;
  totals.by_file.resize(config.parts.size());
  Measure measure(config);
  for (std::uint64_t i = 0; i < config.blocks.size(); ++i) {
    const plan::Block& block = config.blocks[i];
    PENSTOCK_RETURN_IF_ERROR(
        measure.add({i, 0, block.selected, 0}, nullptr, 1, &totals.cost, &totals.by_file));
    // A block that turns out to be longer than the head that was read of its last chunk reads that chunk once
    // more, whole. Whoever reserves memory for a read must count on it.
    const ByteCount tails = config.parts[block.file].source->traits().largest_chunks;
    totals.largest = std::max(totals.largest, measure.bytes + tails);
  }
  for (const internal::FilePart& part : config.parts) {
    const ColumnMajor* columns = part.source->by_columns();
    if (columns != nullptr && part.n_selected > 0) add_pass(*columns, &totals.pass);
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
      // The cut of BlockTable::build(). The table itself leaves out blocks without a selected row, so it is
      // made anew.
      last = config.state.block_rows_exact ? first + std::min(step, n - first)
                                           : std::min(source.cut(first, step), n);
      PENSTOCK_RETURN_IF_ERROR(measure.add_rows(f, {first, last}, &cost, &by_file));
    }
  }
  return cost.bytes_to_read;
}

Result<EpochCost> epoch_cost(const EngineConfig& config, const plan::EpochPart& part,
                             const BlockTotals* whole, std::vector<ByteCount>* by_file) {
  // The shortcut holds where every block comes, and comes once. A sampled epoch may leave one out or visit it
  // several times, a rank of several has a share, and a resumed epoch has the rest of one.
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
  plan::WindowSequence windows(part.share, config.window.window_rows, part.ramp);
  windows.skip(part.batches_done);
  const plan::TapeRuns* line = part.line ? &*part.line : nullptr;
  std::optional<plan::TapeCursor> cursor;
  while (const auto window = windows.next()) {
    // Windows follow each other on the tape, so one cursor walks through all of them. The window that evens
    // out ranks jumps: it repeats a row that is elsewhere.
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
  if (config.window.turned_bytes > 0) add_passes(config, part, &cost, &files);
  if (by_file != nullptr) *by_file = std::move(files);
  return cost;
}

}  // namespace penstock::loader
