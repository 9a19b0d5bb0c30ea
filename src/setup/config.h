// Everything an engine needs to run, decided once by Loader::create: immutable and shared by all threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/types.h"
#include "dataset/dataset_impl.h"
#include "penstock/memory_budget.h"
#include "penstock/options.h"
#include "plan/blocks.h"
#include "plan/lineage.h"
#include "plan/record_layout.h"
#include "plan/sampling.h"
#include "plan/sizing.h"
#include "plan/slot_layout.h"
#include "plan/tape.h"
#include "plan/windows.h"
#include "plan/worth.h"
#include "setup/row_labels.h"
#include "setup/row_obsm.h"
#include "setup/weights.h"

namespace penstock::loader {

inline constexpr std::size_t kMaxTasks = 96;  // blocks in flight

// What travels beside the entries of a block's rows, ready to be written into their records.
struct BesideRows {
  RowLabels::View labels;
  RowObsm::View obsm;
};

struct EngineConfig {
  LoaderOptions options;
  NumericType output = NumericType::f32;
  // What values are in the window, and transforms are computed in: the output type, or f32 for narrower
  // floats that are transformed.
  NumericType stored = NumericType::f32;
  NumericType csr_index = NumericType::i32;
  ColIndex n_cols = 0;
  std::uint64_t longest_row = 0;
  std::shared_ptr<const Dataset> dataset;  // keeps the files open
  std::vector<internal::FilePart> parts;   // sources possibly resident twins
  RowLabels labels;
  RowObsm obsm;
  plan::RecordLayout record;                     // of a row in the window
  plan::SlotLayout slot{plan::BatchContents()};  // of a batch
  plan::BlockTable blocks;
  RowWeights weights;
  std::optional<plan::Sampling> sampling;  // where it is not every row once
  plan::Share share;                       // of a whole epoch
  std::optional<plan::EpochPart> resume;   // what is left of the epoch that LoaderOptions::resume stands in
  LoaderState state;                       // of epoch 0's beginning; blocks and windows as they are
  plan::WindowSizing window;
  plan::RestSizing rest;
  plan::BatchBytes batch;
  ByteCount block_fetch_bytes = 0;  // the largest block's requests
  ByteCount source_scratch_bytes = 0, label_scratch_bytes = 0, obsm_scratch_bytes = 0;
  std::uint32_t io_threads = 1;
  double rows_per_chunk = 0;             // mean; 0: row-addressable storage
  double head_cost = 1;                  // as in plan::SizingInput
  std::shared_ptr<MemoryBudget> budget;  // what the reservations below are of

  // Reserved before anything of it is mapped; held as long as the engine.
  Reservation index_memory, window_memory, turned_memory, scratch_memory, fetch_memory;
  Reservation slots_memory;  // moves into the SlotPool

  bool transforms() const { return options.normalize_total.has_value() || options.log1p; }
  // A row's total travels with it.
  bool keeps_totals() const { return options.totals || options.normalize_total.has_value(); }
  // Entries of a row as delivered.
  std::uint64_t longest_delivered() const { return std::min<std::uint64_t>(longest_row, n_cols); }
  ByteCount scratch_per_worker() const;
  ByteCount copies_bytes() const;  // see WorkerState::copies
  // Rows of an epoch, over all ranks.
  std::uint64_t epoch_rows() const { return sampling ? sampling->epoch_size() : blocks.rows(); }
  plan::Tape tape(std::uint64_t epoch) const {
    return {&blocks, options.shuffle, options.seed, epoch, sampling ? &*sampling : nullptr};
  }
  // The rows of a file to read for a segment, appended to `out`: with a sampling all of the block's, because
  // which of them are wanted follows from weights that may come with them.
  void rows_to_read(const plan::Segment& segment, const plan::TapeRuns* line,
                    std::vector<RowRange>& out) const;
  // What to read beside the entries of these rows of a file.
  Status requests_beside(std::uint32_t file, std::span<const RowRange> wanted, RequestList& list) const;
  // The same, fetched: `rows` are the first to the last of those rows, and the scratches of label_scratch_bytes
  // and obsm_scratch_bytes are used as long as the result.
  Result<BesideRows> read_beside(std::uint32_t file, RowRange rows, const Fetched& fetched,
                                 std::span<std::byte> label_scratch, std::span<std::byte> obsm_scratch,
                                 CodecContext& codec) const;
  // What batches of a share of an epoch are worth. Where rows are sampled, blocks may come twice on a tape.
  plan::BatchWorth batch_worth(const plan::Share& part) const {
    const plan::BatchCut batches = part.batches();
    const std::uint64_t q = batches.n == 0 ? options.batch_size : batches.rows_of(0);
    if (sampling) return {q, sampling->rows_per_visit(), window.window_rows, std::nullopt, part};
    return {q, static_cast<double>(window.block_rows), window.window_rows, blocks.rows(), part};
  }
  // This rank's part of an epoch from its beginning.
  plan::EpochPart whole_epoch(std::uint64_t epoch) const;
};

NumericType numeric_type(OutputType type);

}  // namespace penstock::loader
