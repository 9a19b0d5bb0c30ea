// The life of an engine, and what others ask it.
//
// Everything that holds memory is made in create(), before any thread runs; threads start with the first
// epoch. close() goes the other way: callbacks first, then threads, batches, memory. It may be called from
// any thread at any time, and more than once, so that each step finds the loader in whatever state it is.
#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "base/guarded.h"
#include "engine/refusals.h"
#include "engine/starve.h"
#include "setup/epoch_cost.h"

namespace penstock::loader {

Engine::Engine(EngineConfig config)
    : config_(std::move(config)),
      // A batch in the ring holds a slot, except for one that failed: a few more places than slots, so that
      // what runs out is slots. Half of the slots filled is enough for workers to turn to the next window.
      ready_ring_(config_.rest.n_slots + config_.rest.threads + 2,
                  std::max<std::uint64_t>(2, config_.rest.n_slots / 2)),
      progress_(&config_),
      counters_(config_.parts.size()) {}

Result<std::unique_ptr<Engine>> Engine::create(EngineConfig config) {
  std::unique_ptr<Engine> engine(new Engine(std::move(config)));
  EngineConfig& c = engine->config_;
  const plan::WindowSizing& w = c.window;
  PENSTOCK_ASSIGN_OR_RETURN(engine->slots_, SlotPool::create(std::move(c.slots_memory), c.rest.n_slots,
                                                             c.batch.worst, c.batch.granule));
  // 0 but in a test that takes pages away: engine/starve.h.
  const ByteCount starved = testing::starved_window_bytes();
  const ByteCount pages = starved != 0 ? starved : w.n_pages * w.page_bytes;
  PENSTOCK_ASSIGN_OR_RETURN(Slab slab, Slab::map(std::max(pages, w.page_bytes), true));
  engine->pages_ = std::make_unique<PagePool>(std::move(slab), w.page_bytes);
  {
    const MutexLock lock(engine->mutex_);
    PENSTOCK_ASSIGN_OR_RETURN(engine->admission_, Admission::create(c, *engine->pages_));
  }
  PENSTOCK_ASSIGN_OR_RETURN(engine->turner_, Turner::create(c));
  for (std::uint32_t i = 0; i < c.rest.threads; ++i) {
    PENSTOCK_ASSIGN_OR_RETURN(auto worker, WorkerState::create(c));
    engine->workers_.push_back(std::move(worker));
  }
  // Both callbacks hold a bare pointer. Slots and densifier outlive the engine, in the hands of users, so
  // close() takes the callbacks back before the engine goes. A slot that is back may be what the next batch
  // waits for.
  engine->slots_->on_release([e = engine.get()] {
    const MutexLock lock(e->mutex_);
    e->starved_ = false;
    e->work_.notify_one();
  });
  engine->densifier_ =
      std::make_shared<internal::DensifierImpl>(c.budget, c.rest.dense_buffers, c.rest.dense_bytes);
  engine->densifier_->shared().on_offer([e = engine.get()] {
    const MutexLock lock(e->mutex_);
    e->work_.notify_all();
  });
  return engine;
}

Engine::~Engine() { close(); }

void Engine::admit() {
  if (!paused_ && !stopping_) admission_->admit();
}

void Engine::wake_all() {
  work_.notify_all();
  io_.notify_all();
  ready_.notify_all();
  idle_.notify_all();
}

void Engine::fail(Status status) {
  if (failure_.ok()) failure_ = std::move(status);
  stopping_ = true;
  if (turner_) turner_->cancel();
  wake_all();
}

Status Engine::finished_status() const {
  Status copy = failure_;
  // The first error was told by the call that met it; this is for those that come later.
  return std::move(copy).with_context("the loader is finished after an error");
}

// --- what others ask ---

std::uint64_t Engine::next_epoch() const {
  const MutexLock lock(mutex_);
  return progress_.next_epoch();
}

Result<LoaderState> Engine::state(std::optional<std::uint64_t> batches_done) const {
  const MutexLock lock(mutex_);
  return progress_.state(batches_done);
}

std::uint64_t Engine::epoch_batches() const {
  const MutexLock lock(mutex_);
  return progress_.epoch_batches();
}

std::uint64_t Engine::batches_left() const {
  const MutexLock lock(mutex_);
  return progress_.batches_left();
}

Levels Engine::levels() const {
  Levels now;
  // Whole pages: one with a single row in it is used. There are none any more once the loader is closed.
  if (pages_) now.window_used = (pages_->n_pages() - pages_->free_pages()) * pages_->page_bytes();
  now.slots_used = slots_->counts().held_bytes;
  now.memory = config_.budget->usage().used_by_tag;
  return now;
}

void Engine::record_when_due(Clock::time_point now) {
  if (counters_.sample_due(now)) counters_.record(levels(), now);
}

LoaderStats Engine::stats() const {
  const MutexLock lock(mutex_);
  LoaderStats s = counters_.stats(progress_.epoch(), Clock::now());
  const SlotCounts held = slots_->counts();
  // Slots out of the pool: with the consumer, or built and waiting to be returned.
  const std::uint64_t ours = ready_ring_.building() + ready_ring_.waiting();
  s.slots_held = held.held > ours ? held.held - ours : 0;
  s.slot_bytes_used = held.held_bytes;
  if (pages_) s.window_bytes_used = (pages_->n_pages() - pages_->free_pages()) * pages_->page_bytes();
  return s;
}

std::vector<LoaderSample> Engine::history() const {
  const MutexLock lock(mutex_);
  // close() has added the last sample.
  if (closed_) return counters_.history(nullptr);
  const Levels now = levels();
  return counters_.history(&now);
}

std::vector<FileCounts> Engine::file_counts() const {
  const MutexLock lock(mutex_);
  return counters_.files();
}

Result<EpochCost> Engine::epoch_cost(std::uint64_t epoch) const {
  // close() frees what the sum is made of, and waits for this lock. The engine's own is free meanwhile, since
  // the sum takes a pass over all blocks and threads are to go on.
  const MutexLock once(close_mutex_);
  bool resumed = false;
  {
    const MutexLock lock(mutex_);
    if (closed_) return closed_status();
    resumed = progress_.resumes(epoch);
  }
  return resumed ? loader::epoch_cost(config_, *config_.resume)
                 : loader::epoch_cost(config_, config_.whole_epoch(epoch));
}

Result<LabelMixing> Engine::mixing(const std::string& label, std::optional<std::uint64_t> epoch,
                                   std::uint64_t most_batches, MemoryBudget& budget) const {
  const MutexLock once(close_mutex_);  // as in epoch_cost()
  std::uint64_t number = 0;
  bool resumed = false;
  {
    const MutexLock lock(mutex_);
    if (closed_) return closed_status();
    number = epoch.value_or(progress_.next_epoch());
    resumed = progress_.resumes(number);
  }
  const internal::DatasetImpl& data = config_.dataset->impl();
  return resumed ? work_out_mixing(config_, *config_.resume, data, label, most_batches, budget)
                 : work_out_mixing(config_, config_.whole_epoch(number), data, label, most_batches, budget);
}

// --- the end ---

// Nothing is allocated here: a loader that the system refuses memory is closed, too.
void Engine::close() {
  const MutexLock once(close_mutex_);
  // Before the lock: a release that is under way holds the callback and waits for our lock.
  if (slots_) slots_->on_release({});
  if (densifier_) densifier_->close();
  const MutexLock lock(mutex_);
  // The last sample needs memory, so it may be missing.
  static_cast<void>(guarded([&]() -> Status {
    mutex_.is_held();
    if (counters_.started() && !closed_) counters_.record(levels(), Clock::now());
    return {};
  }));
  closed_ = true;
  stopping_ = true;
  if (turner_) turner_->cancel();
  wake_all();
  // They are taken out under the lock and joined without it, since a thread needs the lock to end.
  std::vector<Thread> threads;
  threads.swap(threads_);
  {
    const Unlocked out(mutex_);
    for (Thread& thread : threads) thread.join();
  }
  std::vector<ReadyBatch> stale = ready_ring_.clear();
  {
    // Batches return their slots through the pool, whose counts we ask for with the lock held.
    const Unlocked out(mutex_);
    stale.clear();
  }
  if (slots_) slots_->close();
  // What is left is freed with its reservation; stats() stays.
  workers_.clear();
  turner_.reset();
  admission_.reset();
  pages_.reset();
  config_.window_memory.release();
  config_.turned_memory.release();
  config_.scratch_memory.release();
  config_.fetch_memory.release();
  config_.parts.clear();
  config_.weights.release();
  config_.sampling.reset();
  config_.labels = RowLabels();
  config_.obsm = RowObsm();
  config_.blocks = plan::BlockTable();
  if (config_.resume) config_.resume->line.reset();
  config_.index_memory.release();
  config_.dataset.reset();
}

}  // namespace penstock::loader
