// The engine: threads that keep blocks in flight, decode them into the window and build batches, in order,
// inside the memory that was reserved for them. It owns the lock and the threads; the work is elsewhere:
//
//   admission.h        what goes under way next: windows of the tape, blocks of a window
//   fetch.h            blocks whose bytes are being read, or wait to be decoded
//   turner.h           rows of matrices that are stored by columns, before their blocks are decoded
//   decode_block.h     a block's rows into the bins of the window
//   assemble.h         a complete bin's rows into a slot
//   ready_ring.h       batches being built, or ready to be returned
//   epoch_progress.h   where the consumer's epoch stands
//   counters.h         what has been done so far
//
// engine.cc has the life of an engine and what others ask it, consumer.cc what the consumer's thread does,
// workers.cc what the engine's own threads do.
//
// Note [No deadlock]. Everything a thread can wait for is freed by something that does not wait for that
// thread:
//
//  1. Blocks are decoded in tape order. A worker pledges the pages a block may open *before* it takes the
//     block, so it never waits while it holds one.
//  2. When pages are short, a block waits only while something is under way that will free pages: a block
//     being decoded (its unused pledge), a batch being built, or the next batch in order having a complete
//     bin. Otherwise it goes ahead without a pledge: rows that find no page are deferred - their place is
//     marked and they are read again when their batch is built. So a wrong estimate of row sizes costs
//     time, never progress.
//  3. Slots are granted strictly in batch order, so a later batch never holds the memory that an earlier
//     one needs. When all slots are with the consumer, next() says so after a timeout: only the consumer
//     can free them.
//  4. A window opens when the one two before it has been built completely; bins are cut at the window's
//     end, so no bin needs a block of a window that is not open.
//  5. Read-ahead memory is taken in tape order and returned in tape order; every block fits by itself.
//  6. A group of rows is turned when the next block in order needs it and no block is being decoded from the
//     group before. Turning needs nothing that others hold.
//
// Thread contract: start_epoch and next from one thread at a time: a second one that calls them meanwhile
// gets `cancelled`, and nothing happens. Everything else from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/thread.h"
#include "engine/admission.h"
#include "engine/assemble.h"
#include "engine/counters.h"
#include "engine/densifier.h"
#include "engine/epoch_progress.h"
#include "engine/ready_ring.h"
#include "engine/slots.h"
#include "engine/turner.h"
#include "memory/page_pool.h"
#include "penstock/options.h"
#include "penstock/plan.h"
#include "penstock/stats.h"
#include "setup/config.h"
#include "setup/label_mixing.h"

namespace penstock::loader {

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> create(EngineConfig config);
  ~Engine();

  const EngineConfig& config() const { return config_; }
  const std::shared_ptr<internal::DensifierImpl>& densifier() const { return densifier_; }

  // --- the consumer (consumer.cc) ---
  Status start_epoch(std::optional<std::uint64_t> epoch);
  // With `keep`, the batch stays where it is until advance().
  Result<std::optional<Batch>> next(const std::function<bool()>& interrupted, bool keep);
  bool advance();

  // --- anybody (engine.cc) ---
  std::uint64_t next_epoch() const;
  Result<LoaderState> state(std::optional<std::uint64_t> batches_done) const;
  std::uint64_t epoch_batches() const;
  std::uint64_t batches_left() const;
  LoaderStats stats() const;
  Result<EpochCost> epoch_cost(std::uint64_t epoch) const;
  // Of `epoch`, or of next_epoch(). `cancelled` after close(), which waits for it.
  Result<LabelMixing> mixing(const std::string& label, std::optional<std::uint64_t> epoch,
                             std::uint64_t most_batches, MemoryBudget& budget) const;
  // The run so far, oldest sample first, the state now as the last one when batches came since.
  std::vector<LoaderSample> history() const;
  // Parallel to the Dataset's files.
  std::vector<FileCounts> file_counts() const;
  void close();

 private:
  explicit Engine(EngineConfig config);

  // --- the consumer (consumer.cc) ---
  Status check_files() const;
  Status begin_epoch(std::optional<std::uint64_t> epoch) PENSTOCK_REQUIRES(mutex_);
  Status restart(std::uint64_t epoch) PENSTOCK_REQUIRES(mutex_);
  Status wait_for_batch(const std::function<bool()>& interrupted) PENSTOCK_REQUIRES(mutex_);
  Status slots_exhausted() PENSTOCK_REQUIRES(mutex_);
  Batch deliver() PENSTOCK_REQUIRES(mutex_);

  // --- the engine's threads (workers.cc) ---
  Status start_threads() PENSTOCK_REQUIRES(mutex_);
  void run_guarded(const std::function<void()>& run) PENSTOCK_EXCLUDES(mutex_);
  void worker_main(WorkerState& worker) PENSTOCK_REQUIRES(mutex_);
  void io_main() PENSTOCK_REQUIRES(mutex_);
  bool try_build(WorkerState& worker) PENSTOCK_REQUIRES(mutex_);
  bool try_decode(WorkerState& worker) PENSTOCK_REQUIRES(mutex_);
  // Turns the rows of the task's group, or helps to. False: somebody else is about to be done with that, or
  // uses the group before.
  bool try_turn(const BlockTask& task, WorkerState& worker) PENSTOCK_REQUIRES(mutex_);
  void turn(const BlockTask& task, WorkerState& worker) PENSTOCK_REQUIRES(mutex_);
  // Reads a block as its own worker, and returns where its bytes are.
  const std::byte* read_block(BlockTask& task, WorkerState& worker) PENSTOCK_REQUIRES(mutex_);
  void note_read(double took, ByteCount bytes, std::size_t requests, std::uint64_t epoch)
      PENSTOCK_REQUIRES(mutex_);
  std::uint32_t pages_for(const BlockTask& task) const;
  bool pages_will_come() PENSTOCK_REQUIRES(mutex_);
  // What a worker that finds nothing to do waits for now.
  EngineCounters::IdleFor idle_for() PENSTOCK_REQUIRES(mutex_);

  void admit() PENSTOCK_REQUIRES(mutex_);
  void admit_when_half_empty() PENSTOCK_REQUIRES(mutex_);
  void wake_all() PENSTOCK_REQUIRES(mutex_);
  void fail(Status status) PENSTOCK_REQUIRES(mutex_);  // ends the loader: next() returns the status
  Status finished_status() const PENSTOCK_REQUIRES(mutex_);
  Levels levels() const PENSTOCK_REQUIRES(mutex_);
  void record_when_due(Clock::time_point now) PENSTOCK_REQUIRES(mutex_);

  // Made by create() and constant until close() has joined the threads.
  EngineConfig config_;
  std::shared_ptr<SlotPool> slots_;
  std::shared_ptr<internal::DensifierImpl> densifier_;
  std::unique_ptr<PagePool> pages_;
  std::vector<std::unique_ptr<WorkerState>> workers_;
  std::unique_ptr<Turner> turner_;  // see its thread contract; nullptr: nothing has to be turned

  mutable Mutex close_mutex_;  // one close() at a time; taken before mutex_
  mutable Mutex mutex_;
  // Workers wait at work_, I/O threads at io_, next() at ready_, a restart at idle_.
  CondVar work_, io_, ready_, idle_;

  std::unique_ptr<Admission> admission_ PENSTOCK_GUARDED_BY(mutex_);
  ReadyRing ready_ring_ PENSTOCK_GUARDED_BY(mutex_);
  EpochProgress progress_ PENSTOCK_GUARDED_BY(mutex_);
  EngineCounters counters_ PENSTOCK_GUARDED_BY(mutex_);

  std::vector<Thread> threads_ PENSTOCK_GUARDED_BY(mutex_);
  bool started_ PENSTOCK_GUARDED_BY(mutex_) = false;
  bool stopping_ PENSTOCK_GUARDED_BY(mutex_) = false;
  bool paused_ PENSTOCK_GUARDED_BY(mutex_) = false;  // nothing new begins
  bool closed_ PENSTOCK_GUARDED_BY(mutex_) = false;
  bool consumed_ PENSTOCK_GUARDED_BY(mutex_) = false;  // a thread is in start_epoch() or next()
  Status failure_ PENSTOCK_GUARDED_BY(mutex_);         // the loader is finished
  std::uint64_t decoding_ PENSTOCK_GUARDED_BY(mutex_) = 0;

  // Of the next batch to be built: its extent once its bin is complete, and whether it found no slot.
  std::optional<BatchExtent> build_extent_ PENSTOCK_GUARDED_BY(mutex_);
  bool starved_ PENSTOCK_GUARDED_BY(mutex_) = false;
  std::vector<Status> errors_ PENSTOCK_GUARDED_BY(mutex_);  // of failed rows, by number

  bool can_read_ahead_ PENSTOCK_GUARDED_BY(mutex_) = false;  // there are I/O threads
  int read_ahead_ PENSTOCK_GUARDED_BY(mutex_) = 0;           // > 0: they read ahead; Note [Who reads]
};

}  // namespace penstock::loader
