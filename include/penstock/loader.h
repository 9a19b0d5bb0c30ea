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
// Thread contract: start_epoch(), next(), peek() and advance() are for one thread at a time. A second thread
// that calls one of them meanwhile gets `cancelled`, and neither is harmed; threads that take turns share out
// an epoch's batches. Everything else may be called from any thread. Engine threads start at the first
// start_epoch() and end in close() or the destructor. After fork() a child must not use the parent's loader:
// calls fail with invalid_argument, stats() is empty, the destructor does nothing.
// Layer: loader.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "penstock/batch.h"
#include "penstock/dataset.h"
#include "penstock/densifier.h"
#include "penstock/memory_budget.h"
#include "penstock/mixing.h"
#include "penstock/options.h"
#include "penstock/plan.h"
#include "penstock/stats.h"
#include "penstock/status.h"

namespace penstock {

namespace internal {
class LoaderImpl;
}

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
  // Categories of an obs column that comes as codes, in their order (there may be none); nullptr: a column of
  // numbers or booleans, or one that does not travel.
  const std::vector<std::string>* categories(const std::string& column) const;

  // Where this loader stands, for LoaderOptions::resume: behind the batches that next() has returned of the
  // epoch started last, or behind `batches_done` of them, for who takes batches ahead of who uses them. When
  // that is all of its batches, at the beginning of the epoch after it; before the first start_epoch(), where
  // that begins. invalid_argument: fewer than `batches_done` have been returned. Works after close(), from
  // any thread.
  Result<LoaderState> state(std::optional<std::uint64_t> batches_done = std::nullopt) const;
  // Batches of the epoch being read, or of the next one when none was started, those before it was resumed
  // included: n_batches(), but for an epoch that other numbers of ranks have worked on.
  std::uint64_t epoch_batches() const;
  // Of the epoch that start_epoch() has begun: those that next() has still to return.
  std::uint64_t batches_left() const;

  // Begins an epoch: `epoch`, else the one after the last started (at first 0, or where LoaderOptions::resume
  // goes on). Ends the current one at once.
  Status start_epoch(std::optional<std::uint64_t> epoch = std::nullopt);
  // The epoch that start_epoch() without a number would begin.
  std::uint64_t next_epoch() const;

  // The next batch in order; nullopt at the end of the epoch. `interrupted` is polled every 50 ms while
  // waiting; true makes next() return `cancelled` without harm to the epoch. Errors of a read surface here,
  // at the batch that would have needed it; the loader is then finished and says so.
  Result<std::optional<Batch>> next(const std::function<bool()>& interrupted = {});
  // Waits for the batch that next() would return and leaves it there. The view is read-only: copy it, or
  // take it with advance().
  Result<std::optional<Batch>> peek(const std::function<bool()>& interrupted = {});
  // Takes the batch that peek() returned last, as next() would have. False, and nothing happens, when that is
  // not the one that comes next any more, or the loader is closed.
  bool advance();

  // Dense forms of this loader's CSR batches.
  Densifier densifier() const;

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
