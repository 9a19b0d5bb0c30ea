// What the engine's threads do: workers build the next batch in order if they can, else decode the next block
// in order; I/O threads read ahead.
//
// No thread has a job of its own. A worker that is free looks, with the lock held, for the first thing in
// order that can be done, notes that it does it, gives the lock back, does it, and takes the lock again to
// say so. What is done without the lock touches only what was handed to that worker: its WorkerState, its
// task's bytes, its slot, and places of rows that are nobody else's.
//
//   lock    look, take        done, wake others
//   work              decode             look, take ...
//
// What each try_...() returns is whether it did something. Where none did, the worker waits until it is
// woken, and looks at everything anew.
#include <algorithm>
#include <chrono>

#include "base/checked.h"
#include "base/guarded.h"
#include "engine/assemble.h"
#include "engine/decode_block.h"
#include "engine/engine.h"
#include "engine/scatter.h"
#include "source/read_requests.h"

namespace penstock::loader {
namespace {

// Reads that take longer than a warm page cache explains: seconds, and seconds per byte.
constexpr double kSlowRead = 100e-6, kSlowByte = 1e-9;
constexpr int kReadAheadMemory = 64;  // quick reads before the I/O threads rest again

}  // namespace

// --- threads ---

Status Engine::start_threads() {
  // Fewer threads than planned are slower, never wrong; without any worker nothing would come.
  const auto start = [this](auto run) PENSTOCK_REQUIRES(mutex_) -> Status {
    PENSTOCK_ASSIGN_OR_RETURN(Thread thread, Thread::start([this, run] { run_guarded(run); }));
    threads_.push_back(std::move(thread));
    return {};
  };
  threads_.reserve(workers_.size() + config_.io_threads);  // a thread that runs is never lost
  for (const auto& worker : workers_) {
    const Status started = start([this, &worker] {
      mutex_.is_held();
      worker_main(*worker);
    });
    if (started.ok()) continue;
    if (worker == workers_.front()) return started;
    break;
  }
  for (std::uint32_t i = 0; i < config_.io_threads; ++i) {
    const Status started = start([this] {
      mutex_.is_held();
      io_main();
    });
    if (!started.ok()) break;
    can_read_ahead_ = true;
  }
  return {};
}

// A thread that the system refuses memory to ends the loader, not the process: what it was about is lost, so
// next() says why nothing comes any more.
void Engine::run_guarded(const std::function<void()>& run) {
  const MutexLock lock(mutex_);
  Status status = guarded([&]() -> Status {
    run();
    return {};
  });
  if (!status.ok()) fail(std::move(status));
}

void Engine::worker_main(WorkerState& worker) {
  SharedWork& shared = densifier_->shared();
  while (!stopping_) {
    // A caller who waits for a dense batch comes before batches that nobody waits for yet.
    if (shared.offered()) {
      const Unlocked out(mutex_);
      shared.help();
      continue;
    }
    // Batches first, as long as few are ready: the consumer waits for them. Once it has enough to go on with,
    // the next window first: where it is the slower one, it would wait for that window.
    if (!paused_ && (ready_ring_.has_enough() ? try_decode(worker) || try_build(worker)
                                              : try_build(worker) || try_decode(worker))) {
      continue;
    }
    const auto from = Clock::now();
    const EngineCounters::IdleFor what = idle_for();
    work_.wait(mutex_);
    counters_.idle(what, Clock::now() - from);
  }
}

EngineCounters::IdleFor Engine::idle_for() {
  FetchRing& fetch = admission_->fetch();
  // In the order of what would have to change first: with no slot free nothing can be built, whatever is
  // read.
  if (starved_ || ready_ring_.full()) return EngineCounters::IdleFor::consumer;
  if (turner_ != nullptr && turner_->turning()) return EngineCounters::IdleFor::others;
  // A block is there to be decoded, and this thread did not take it: no pages.
  if (fetch.next_to_decode() != nullptr || (read_ahead_ == 0 && fetch.next_unread() != nullptr))
    return EngineCounters::IdleFor::pages;
  return fetch.reads_in_flight() > 0 ? EngineCounters::IdleFor::reads : EngineCounters::IdleFor::others;
}

void Engine::io_main() {
  FetchRing& fetch = admission_->fetch();
  while (!stopping_) {
    ReadJob job;
    if (paused_ || !fetch.next_read(&job, read_ahead_ == 0)) {
      io_.wait(mutex_);
      continue;
    }
    // Each reader wakes the next while there is more to read.
    io_.notify_one();
    Status status;
    double took = 0;
    {
      const Unlocked out(mutex_);
      const auto from = Clock::now();
      status = job.request.file->read_at(job.request.offset, {job.into, job.request.bytes});
      took = in_seconds(Clock::now() - from);
    }
    note_read(took, job.request.bytes, 1, job.task->window->epoch());
    if (fetch.read_done(job, std::move(status))) work_.notify_one();
    if (paused_) idle_.notify_all();
  }
}

// Many blocks at once rather than one by one: each time costs a walk over the tape and waking a thread.
void Engine::admit_when_half_empty() {
  if (!admission_->fetch().half_empty()) return;
  admit();
  if (read_ahead_ > 0) io_.notify_one();
}

// --- batches ---

// The oldest batch first: it is what the consumer waits for, and its bin's pages are what blocks wait for.
bool Engine::try_build(WorkerState& worker) {
  if (ready_ring_.full()) return false;
  Window* window = admission_->window_of(ready_ring_.next_to_build());
  if (window == nullptr) return false;
  const std::uint64_t b = ready_ring_.next_to_build() - window->first_sequence();
  const std::uint64_t bin = window->bin_of_batch(b);
  if (!window->bin_complete(bin)) return false;
  // It goes through all rows of the batch, so it is kept for the next attempt when there is no slot.
  if (!build_extent_) build_extent_ = batch_extent(*window, b);
  const BatchExtent extent = *build_extent_;
  std::shared_ptr<std::byte> slot;
  if (extent.error < 0) {
    auto got = slots_->acquire(config_.slot.bytes(extent.rows, extent.entries));
    if (!got.ok() || !*got) {
      starved_ = true;
      return false;
    }
    slot = *std::move(got);
  }
  starved_ = false;
  build_extent_.reset();
  const std::uint64_t sequence = ready_ring_.take();
  ReadyBatch ready;
  if (extent.error >= 0) ready.error = errors_[static_cast<std::size_t>(extent.error)];
  work_.notify_one();  // more batches may be ready to be built by others
  AssembleCounts counts;
  double took = 0;
  {
    const Unlocked out(mutex_);
    // Slots return through a callback that takes the lock: this one is let go of in here, whatever is thrown.
    const std::shared_ptr<std::byte> memory = std::move(slot);
    const auto from = Clock::now();
    if (ready.error.ok()) {
      auto batch = build_batch(config_, *window, b, extent, memory, worker, &counts);
      if (batch.ok()) {
        ready.batch = *std::move(batch);
      } else {
        ready.error = std::move(batch).status();
      }
    }
    took = in_seconds(Clock::now() - from);
  }
  ready.entries = counts.entries;
  ready.missing_labels = counts.missing_labels;
  if (ready_ring_.put(sequence, std::move(ready))) ready_.notify_all();
  counters_.built(took, counts);
  record_when_due(Clock::now());
  // From here on the window may be opened for other rows, so that nothing of it is used below.
  admission_->batch_built(*window, bin);
  admit_when_half_empty();
  work_.notify_all();
  idle_.notify_all();
  return true;
}

// --- blocks ---

// A block opens at most one page per row; and per bin it touches, plus one per page's worth of bytes.
std::uint32_t Engine::pages_for(const BlockTask& task) const {
  const plan::WindowSizing& w = config_.window;
  const std::uint64_t rows = task.segment.rows;
  const ByteCount page = w.page_bytes;
  // Twice the planned bytes, for blocks of long rows. With 64 rows of 2 KB, 20 bins and pages of 64 KiB a
  // block may open 20 + 4 = 24 pages: one in each bin, and 4 more that it fills.
  std::uint64_t pages = std::min(rows, task.window->n_bins() + ceil_div(2 * rows * w.row_bytes, page));
  // Rows that hardly share pages, or are longer than one, need their own.
  if (w.row_bytes > page / 2) pages = rows * ceil_div(2 * w.row_bytes, page);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(pages, pages_->n_pages()));
}

// Note [No deadlock], rule 2.
bool Engine::pages_will_come() {
  if (decoding_ > 0 || ready_ring_.building() > 0) return true;
  const Window* window = admission_->window_of(ready_ring_.next_to_build());
  return window != nullptr &&
         window->bin_complete(window->bin_of_batch(ready_ring_.next_to_build() - window->first_sequence()));
}

// Note [Who reads]. From a warm page cache a worker reads its own block just before it decodes it: the bytes
// are in its core's cache and nobody is woken. As soon as a read takes longer than a warm cache explains, the
// I/O threads read ahead instead, as many at once as there are reads to issue, until reads are quick again.
void Engine::note_read(double took, ByteCount bytes, std::size_t requests, std::uint64_t epoch) {
  // A read of 1 MB is slow from 100 us + 1 ms on. One slow read turns reading ahead on for the next 8 reads
  // at least, as each quick one takes away one; at most for 64.
  const bool slow = took > kSlowRead + static_cast<double>(bytes) * kSlowByte;
  if (slow && can_read_ahead_) {
    read_ahead_ = std::min(read_ahead_ + 8, kReadAheadMemory);
    io_.notify_one();
  } else if (read_ahead_ > 0) {
    --read_ahead_;
  }
  counters_.read(took, bytes, requests, epoch);
}

bool Engine::try_decode(WorkerState& worker) {
  FetchRing& fetch = admission_->fetch();
  BlockTask* task = fetch.next_to_decode();
  const bool read_here = task == nullptr && read_ahead_ == 0;
  if (read_here) task = fetch.next_unread();
  if (task == nullptr) return false;
  const bool turned = turner_ != nullptr && turner_->concerns(*task);
  if (turned && !turner_->holds(*task)) return try_turn(*task, worker);
  std::uint32_t pledged = pages_for(*task);
  if (!pages_->pledge(pledged)) {
    // Somebody who frees pages wakes this worker. Where nobody will, rows without a page are deferred.
    if (pages_will_come()) return false;
    pledged = 0;
  }
  fetch.start_decode();
  ++decoding_;
  if (turned) {
    turner_->use();
    task->turned = turner_->rows(task->block.file);
  }
  // Reads end in any order: the next block may have been waiting for this one to be taken.
  if (fetch.next_to_decode() != nullptr) work_.notify_one();
  const std::byte* bytes = read_here ? read_block(*task, worker) : fetch.bytes(*task);
  if (turned && task->error.ok()) task->error = turner_->failure(task->block.file);

  BesideRows beside;
  Scatter scatter(config_, *task, beside, worker, pledged);
  BlockCounts counts;
  Status status;
  {
    const Unlocked out(mutex_);
    status = decode_block(config_, *task, bytes, beside, scatter, worker, &counts);
  }
  if (!status.ok()) {
    // Under a number, which the entries of the failed rows hold in place of a page.
    errors_.push_back(std::move(status));
    scatter.fail_rest(static_cast<std::uint32_t>(errors_.size() - 1));
  }
  pages_->unpledge(scatter.pledged_left());
  --decoding_;
  if (turned) turner_->leave();
  counters_.decoded(counts);
  record_when_due(Clock::now());
  // Rows count as done after all else does: when the last batch of an epoch is there, so are its counters.
  scatter.count_rows();
  fetch.release(task);
  admit_when_half_empty();
  work_.notify_all();
  idle_.notify_all();
  return true;
}

bool Engine::try_turn(const BlockTask& task, WorkerState& worker) {
  if (!turner_->turning()) {
    if (turner_->in_use()) return false;
    turn(task, worker);
    return true;
  }
  const auto pass = turner_->pass_to_help();
  if (pass == nullptr) return false;
  const Unlocked out(mutex_);
  pass->work(worker.source_scratch, worker.reread_requests, worker.codec);
  return true;
}

// The task stays in the ring: whoever comes to it next finds its rows turned, or why they could not be.
void Engine::turn(const BlockTask& task, WorkerState& worker) {
  turner_->begin(task);
  const std::uint64_t epoch = task.window->epoch();
  ++decoding_;
  Status status;
  {
    const Unlocked out(mutex_);
    // It makes lists, which the system may refuse.
    status = guarded([&] { return turner_->lay_out(); });
  }
  while (status.ok()) {
    const auto pass = turner_->next_pass();
    if (pass == nullptr) break;
    work_.notify_all();  // others help
    Status done;
    {
      const Unlocked out(mutex_);
      pass->work(worker.source_scratch, worker.reread_requests, worker.codec);
      done = pass->finish();
    }
    turner_->finished(std::move(done));
    counters_.turned(turner_->pass_file(), epoch, pass->counts());
  }
  turner_->end(std::move(status));
  --decoding_;
  record_when_due(Clock::now());
  work_.notify_all();
  idle_.notify_all();
}

const std::byte* Engine::read_block(BlockTask& task, WorkerState& worker) {
  FetchRing& fetch = admission_->fetch();
  fetch.issue_all(&task);
  // Into the worker's own buffer: it stays in the core's cache, which the arena is too large for.
  const bool own = task.bytes <= worker.reread.size();
  const std::span<std::byte> into = own ? worker.reread : std::span(fetch.bytes(task), task.bytes);
  double took = 0;
  {
    const Unlocked out(mutex_);
    const auto from = Clock::now();
    if (task.error.ok()) task.error = read_requests(task.requests, into);
    took = in_seconds(Clock::now() - from);
  }
  counters_.worker_read(took);
  note_read(took, task.bytes, task.requests.requests().size(), task.window->epoch());
  return into.data();
}

}  // namespace penstock::loader
