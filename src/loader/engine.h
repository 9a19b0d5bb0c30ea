// The engine: threads that keep blocks in flight, decode them into the window and build batches, in order,
// inside the memory that was reserved for them. This is the hot path's control; the work is in scatter.cc and
// assemble.cc.
//
// Life of a row: FetchRing (read) -> Scatter (decoded into its bin) -> build_batch (into a slot) -> next().
//
// Note [No deadlock]. Everything a thread can wait for is freed by something that does not wait for that
// thread:
//  1. Blocks are decoded in tape order. A worker pledges the pages a block may open *before* it takes the
//  block, so it
//     never waits while it holds one.
//  2. When pages are short, a block waits only while something is under way that will free pages: a block
//  being decoded
//     (its unused pledge), a batch being built, or the next batch in order having a complete bin. Otherwise
//     it goes ahead without a pledge: rows that find no page are deferred - their place is marked and they
//     are read again when their batch is built. So a wrong estimate of row sizes costs time, never progress.
//  3. Slots are granted strictly in batch order, so a later batch never holds the memory that an earlier one
//  needs. When
//     all slots are with the consumer, next() says so after a timeout: only the consumer can free them.
//  4. A window opens when the one two before it has been built completely; bins are cut at the window's end,
//  so no bin
//     needs a block of a window that is not open.
//  5. Read-ahead memory is taken in tape order and returned in tape order; every block fits by itself.
//
// Thread contract: start_epoch, next and peek from one consumer thread; stats and close from any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "loader/assemble.h"
#include "loader/config.h"
#include "loader/fetch.h"
#include "loader/mixing.h"
#include "loader/recorder.h"
#include "loader/slots.h"
#include "loader/window.h"
#include "memory/page_pool.h"
#include "penstock/loader.h"
#include "plan/tape.h"

namespace penstock::loader {

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> create(EngineConfig config);
  ~Engine();

  const EngineConfig& config() const { return config_; }
  Status start_epoch(std::optional<std::uint64_t> epoch);
  std::uint64_t next_epoch() const;
  Result<LoaderState> state(std::optional<std::uint64_t> batches_done) const;
  std::uint64_t epoch_batches() const;
  Result<std::optional<Batch>> next(const std::function<bool()>& interrupted, bool keep);
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
  explicit Engine(EngineConfig config) : config_(std::move(config)) {}
  using Lock = std::unique_lock<std::mutex>;
  using Clock = std::chrono::steady_clock;

  // --- threads (engine_threads.cc) ---
  Status start_threads();
  void worker_main(std::size_t number);
  void io_main();
  bool try_build(Lock& lock, WorkerState& worker);
  bool try_decode(Lock& lock, WorkerState& worker);
  void read_block(BlockTask& task, std::span<std::byte> into, Lock& lock);
  void note_read(double took, ByteCount bytes, std::size_t reads, std::uint64_t epoch);
  void decode(BlockTask& task, const std::byte* bytes, WorkerState& worker, std::uint32_t pledged,
              Lock& lock);

  // --- under mutex_ ---
  void admit();  // opens windows, fills the fetch ring
  bool open_next_window();
  void begin_at(plan::EpochPart part);    // its first window follows
  void begin_first(std::uint64_t epoch);  // as begin_at(), when nothing is under way
  // What of an epoch is to be delivered: the rest of the one that is resumed, or a whole one.
  plan::EpochPart part_of(std::uint64_t epoch) const;
  void reset(Lock& lock, std::uint64_t epoch);
  bool pages_will_come();
  Window* window_of_next_batch();
  std::uint32_t pages_for(const BlockTask& task) const;
  std::uint32_t add_error(Status status);
  double* idle_counter();  // of what an idle decode thread waits for now
  LoaderSample sample(Clock::time_point now) const;
  void record(Clock::time_point now);
  Status finished_status() const;

  struct Ready {
    std::optional<Batch> batch;
    Status error;
    std::uint64_t missing_labels = 0;
    bool filled = false;
  };

  EngineConfig config_;
  std::shared_ptr<SlotPool> slots_;
  std::unique_ptr<PagePool> pages_;
  Slab page_links_;
  std::unique_ptr<Window> windows_[2];
  std::unique_ptr<FetchRing> fetch_;
  std::vector<std::unique_ptr<WorkerState>> workers_;
  std::vector<std::thread> threads_;

  mutable std::mutex close_mutex_;  // one close() at a time; taken before mutex_
  mutable std::mutex mutex_;
  std::condition_variable work_, io_, ready_, idle_;
  // guarded by mutex_
  bool started_ = false, stopping_ = false, paused_ = false;
  std::size_t busy_ = 0;  // workers outside the lock
  std::size_t decoding_ = 0, building_ = 0;
  // what comes next on the tape
  plan::EpochPart opening_;               // whose windows are being opened
  std::uint64_t skip_batches_ = 0;        // of the next window: delivered before the epoch was resumed
  const plan::TapeRuns* line_ = nullptr;  // of the epoch whose windows are being opened, if it has one
  std::unique_ptr<plan::Tape> tape_;
  std::unique_ptr<plan::WindowSequence> sequence_;
  std::unique_ptr<plan::TapeCursor> cursor_;
  Window* filling_ = nullptr;        // window whose blocks are being admitted
  bool task_prepared_ = false;       // the ring's next task is filled in and waits for bytes
  std::uint64_t opened_ = 0;         // windows, since the last reset: windows_[opened_ % 2] is next
  std::uint64_t draining_ = 0;       // window whose batches are next
  std::uint64_t next_sequence_ = 0;  // of the next window's first batch
  // batches
  std::vector<Ready> ready_ring_;            // by sequence
  std::uint64_t enough_ready_ = 2;           // batches being built or ready; constant
  std::uint64_t build_sequence_ = 0;         // next to be given to a worker
  std::uint64_t deliver_sequence_ = 0;       // next to be returned
  std::optional<BatchExtent> build_extent_;  // of build_sequence_, once known
  bool starved_ = false;                     // the next batch is complete but no slot is free
  std::vector<Status> errors_;
  bool can_read_ahead_ = false;  // there are I/O threads
  int read_ahead_ = 0;           // > 0: I/O threads read ahead; Note [Who reads]
  // the consumer's epoch
  bool in_epoch_ = false;
  bool resuming_ = false;  // config_.resume is what is being delivered, or what start_epoch() would begin
  plan::Share share_;      // of the epoch
  std::uint64_t batches_done_ = 0;  // of share_.n_batches, before the epoch was resumed
  std::uint64_t epoch_ = 0, delivered_ = 0, next_epoch_ = 0;
  Status failure_;  // delivered: the loader is finished
  bool closed_ = false;
  // counters
  LoaderStats counters_;
  struct EpochReads {
    std::uint64_t epoch = 0, bytes = 0, reads = 0;
  };
  std::vector<EpochReads> epoch_reads_;  // the consumer's epoch and those that are read ahead of it
  Clock::time_point first_start_, last_return_;
  bool ever_started_ = false, returned_ = false;
  bool waiting_ = false;  // next() waits since waiting_since_
  Clock::time_point waiting_since_;
  Recorder recorder_;
  std::vector<FileCounts> file_counts_;
};

}  // namespace penstock::loader
