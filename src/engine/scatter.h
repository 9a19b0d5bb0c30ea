// The sink of a block's decode: each row goes, compactly encoded, to the bin that holds its place.
//
// Thread contract: belongs to one worker for one block.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/fetch.h"
#include "engine/window.h"
#include "engine/worker_state.h"
#include "plan/tape.h"
#include "setup/config.h"
#include "setup/segment_copies.h"
#include "source/row_source.h"

namespace penstock::loader {

// Row i's sum over all columns of its file; `row` is what it was encoded to.
double row_total(const CsrTile& tile, std::size_t i, const EncodedRow& row);

// Writes the fixed part of a row's record (plan::RecordLayout): all that travels with row i of the tile but
// its entries. `beside`: prepared for the tile's rows.
Status write_fixed_part(const EngineConfig& config, std::uint32_t file, const CsrTile& tile, std::size_t i,
                        const EncodedRow& row, const BesideRows& beside, std::byte* record);

class Scatter : public RowSink {
 public:
  // `pledged`: pages set aside for this block. Rows beyond them compete for free pages and are deferred
  // without one. Where rows are sampled, weigh() comes before csr().
  Scatter(const EngineConfig& config, const BlockTask& task, const BesideRows& beside, WorkerState& worker,
          std::uint32_t pledged);
  // Finds out how often each row is wanted, from labels that are prepared. `corrupt` when they weigh
  // something else than they did when the loader was made.
  Status weigh(const BlockTask& task);
  // Counts what is left to count.
  ~Scatter() override { count_rows(); }

  Status csr(const CsrTile& tile) override;

  // After a failure: every row that has not come is marked failed with the error's number, so that its bin
  // completes and the error surfaces with the batch that needed it.
  void fail_rest(std::uint32_t error);

  // Tells the bins of the rows that have come; a bin may complete by it.
  void count_rows();

  bool wants_totals() const { return config_.record.has_total(); }
  std::uint64_t rows_decoded() const { return decoded_; }
  // Of the segment; a row that is decoded has any number of places where rows are sampled.
  std::uint64_t rows_placed() const { return done_; }
  double seconds() const { return std::chrono::duration<double>(took_).count(); }  // in csr()
  std::uint64_t deferred() const { return deferred_; }
  std::uint32_t pledged_left() const { return pledged_; }

 private:
  Status put(const CsrTile& tile, std::size_t i, const EncodedRow& row, std::uint64_t place);
  void fail(std::uint64_t place, std::uint32_t error);
  void finish_row(std::uint64_t place) {
    const auto bin = static_cast<std::uint32_t>(window_.bin_of(place));
    if (worker_.rows_in_bin[bin]++ == 0) worker_.bins_touched.push_back(bin);
  }

  const EngineConfig& config_;
  Window& window_;
  const plan::Segment& segment_;
  const std::uint32_t file_;
  const BesideRows& beside_;
  WorkerState& worker_;
  std::uint32_t pledged_;
  std::chrono::steady_clock::duration took_{};
  std::uint64_t decoded_ = 0, done_ = 0, deferred_ = 0;
  std::optional<SegmentCopies> copies_;  // where rows are sampled
};

}  // namespace penstock::loader
