// Shuffled (or ordered) batches of a Dataset inside a byte budget.
//
//   auto loader = penstock::Loader::create(dataset, {.batch_size = 4096, .memory = 2'000'000'000});
//   if (!loader.ok()) return loader.status();
//   PENSTOCK_RETURN_IF_ERROR((*loader)->start_epoch());
//   for (;;) {
//     PENSTOCK_ASSIGN_OR_RETURN(auto batch, (*loader)->next());
//     if (!batch) break;              // end of the epoch
//     use(batch->values, batch->index);
//   }
//
// Thread contract: externally synchronised (one consumer), except stats() and close(), which any thread may
// call. Engine threads start at the first start_epoch() and end in close() or the destructor. After fork() a
// child must not use the parent's loader: calls fail with invalid_argument, stats() is empty, the destructor
// does nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "penstock/batch.h"
#include "penstock/dataset.h"
#include "penstock/memory_budget.h"
#include "penstock/mixing.h"
#include "penstock/options.h"
#include "penstock/plan.h"
#include "penstock/status.h"

namespace penstock {

namespace internal {
class LoaderImpl;
}

// Counters since the loader was made; times in seconds summed over threads.
struct LoaderStats {
  std::uint64_t epoch = 0;              // being delivered
  std::uint64_t batches = 0, rows = 0;  // delivered by next()
  std::uint64_t entries = 0;            // non-zeros delivered
  std::uint64_t rows_decoded = 0, blocks_decoded = 0;
  // Where every byte was read for. bytes_read_all == bytes_opening + bytes_planning + bytes_read +
  // bytes_reread when nothing else used the Dataset meanwhile; a read that failed counts nowhere exactly.
  std::uint64_t bytes_opening = 0;   // from the Dataset's files before this loader was made: metadata
  std::uint64_t bytes_planning = 0;  // to make it: labels and row offsets that stay in memory, the sample
  std::uint64_t bytes_read = 0, reads = 0;  // blocks of all epochs begun, the next one's first windows too
  std::uint64_t epoch_bytes_read = 0,
                epoch_reads = 0;                // of those, for `epoch`; at its end Loader::epoch_cost()
  std::uint64_t bytes_reread = 0, rereads = 0;  // for deferred rows and heads too short
  std::uint64_t bytes_read_all = 0;  // from the Dataset's files by anyone, ever: counted at the files
  std::uint64_t bytes_decoded = 0;
  std::uint64_t rows_deferred = 0;    // found no page; read again when assembled
  std::uint64_t entries_unknown = 0;  // left out: their gene is not in the file's gene table
  std::uint64_t heads_too_short = 0;  // blocks whose last chunks were read twice: the estimate was too short
  std::uint64_t values_rounded = 0;   // inexact conversions to the output dtype
  std::uint64_t rows_sorted = 0;      // rows that were not sorted by column in the file
  std::uint64_t labels_missing = 0;   // label values delivered as -1 or NaN
  double read_seconds = 0, decode_seconds = 0, assemble_seconds = 0;  // decode includes scatter
  double worker_read_seconds = 0;        // the part of read_seconds that decode threads spent
  double decompress_seconds = 0;         // the part of decode_seconds that codecs and their filters took
  double scatter_seconds = 0;            // the part of decode_seconds that put rows into the window
  double worker_idle_seconds = 0;        // decode threads with nothing to do ...
  double idle_for_reads_seconds = 0;     // ... of it, because the next bytes were not there yet
  double idle_for_pages_seconds = 0;     // ... because the window had no page free
  double idle_for_consumer_seconds = 0;  // ... because the batches ahead of the consumer were all built
  double consumer_wait_seconds = 0;      // next() waiting for a batch
  double consumer_busy_seconds = 0;      // between two next() calls: the model
  double elapsed_seconds = 0;            // since the first start_epoch()
  double first_batch_seconds = 0, last_batch_seconds = 0;  // since then: when the first and last one came
  MemoryBudget::Usage memory;
  std::uint64_t slots_held = 0;                              // batches the consumer holds now
  std::uint64_t window_bytes_used = 0, slot_bytes_used = 0;  // of what is reserved: with something in it now
  std::string to_json() const;                               // one line
  // The same numbers in Prometheus' text format (0.0.4): counters end in _total, times are in seconds, sizes
  // in bytes. `labels` are put on every sample; a name that Prometheus does not allow is left out.
  std::string to_prometheus(const std::map<std::string, std::string>& labels = {}) const;
  // "of the decode threads' work, 41 % was decompressing, 22 % unpacking, ...": shares of reading, the parts
  // of decoding, assembling.
  std::string where_time_went() const;
  // "the model waited 3 % of the time for data" / "data waited for the model ..."
  std::string who_waited() const;
};

class Loader {
 public:
  // Plans (metadata and a small sample of blocks) and reserves; starts no thread.
  static Result<std::unique_ptr<Loader>> create(std::shared_ptr<const Dataset> dataset,
                                                LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  const Plan& plan() const;
  // Batches of one whole epoch of this rank.
  std::uint64_t n_batches() const;
  // Categories of the obs columns that have them, in code order; empty for numbers.
  const std::vector<std::string>& categories(const std::string& column) const;

  // Where this loader stands, for LoaderOptions::resume: behind the batches that next() has returned of the
  // epoch started last, or behind `batches_done` of them, for who takes batches ahead of who uses them. When
  // that is all of its batches, at the beginning of the epoch after it; before the first start_epoch(), where
  // that begins. invalid_argument: fewer than `batches_done` have been returned. Works after close(), from
  // any thread.
  Result<LoaderState> state(std::optional<std::uint64_t> batches_done = std::nullopt) const;
  // Batches of the epoch being read, or of the next one when none was started, those before it was resumed
  // included: n_batches(), but for an epoch that other numbers of ranks have worked on.
  std::uint64_t epoch_batches() const;

  // Begins an epoch: `epoch`, else the one after the last started (at first 0, or where LoaderOptions::resume
  // goes on). Ends the current one at once.
  Status start_epoch(std::optional<std::uint64_t> epoch = std::nullopt);
  // The epoch that start_epoch() without a number would begin.
  std::uint64_t next_epoch() const;

  // The next batch in order; nullopt at the end of the epoch. `interrupted` is polled every 50 ms while
  // waiting; true makes next() return `cancelled` without harm to the epoch. Errors of a read surface here,
  // at the batch that would have needed it; the loader is then finished and says so.
  Result<std::optional<Batch>> next(const std::function<bool()>& interrupted = {});
  // Waits for the batch that next() would return and leaves it there. The view is read-only: copy it.
  Result<std::optional<Batch>> peek(const std::function<bool()>& interrupted = {});

  // What reading an epoch takes, exactly; a pass over the table of blocks, no I/O. Of an epoch that is
  // resumed, what is left of it: from the window on that holds its next batch. `cancelled` after close().
  Result<EpochCost> epoch_cost(std::uint64_t epoch) const;

  // How the obs column `label` (categories, strings or booleans; it need not be one of LoaderOptions::obs)
  // is mixed over the batches of `epoch`, by default next_epoch(). Reads the column's codes once, nothing of
  // X. At most `memory` bytes while the call runs, outside the loader's budget. Errors: not_found (no such
  // column), invalid_argument (a column of numbers), budget, what reading the column can give, `cancelled`
  // after close().
  Result<Mixing> mixing(const std::string& label, std::optional<std::uint64_t> epoch = std::nullopt,
                        std::uint64_t memory = 64'000'000) const;

  LoaderStats stats() const;
  // Stops and joins the threads, frees all memory but batches still held. Idempotent; a waiting next()
  // returns `cancelled`.
  void close();

  const internal::LoaderImpl& impl() const { return *impl_; }

 private:
  explicit Loader(std::unique_ptr<internal::LoaderImpl> impl);
  std::unique_ptr<internal::LoaderImpl> impl_;
};

}  // namespace penstock
