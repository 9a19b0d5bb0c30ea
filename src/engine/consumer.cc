// What the consumer's thread does in the engine: it starts epochs and takes batches.
//
// An epoch that follows the one just finished begins without a gap: its first windows have been filling all
// the while. Every other start is a restart, which throws away what was read ahead.
//
// Where the lock is given back - in a wait, or around a callback of the user's - another thread may close the
// loader. So what was known before is looked at anew after each such place.
#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "base/guarded.h"
#include "engine/engine.h"
#include "engine/refusals.h"

namespace penstock::loader {
namespace {

// How often a waiting next() looks at whether somebody has interrupted it.
constexpr auto kPoll = std::chrono::milliseconds(50);

// True until the end of the scope.
class Flag {
 public:
  explicit Flag(bool& flag) : flag_(flag) { flag_ = true; }
  ~Flag() { flag_ = false; }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;

 private:
  bool& flag_;
};

// Counts the scope as waiting.
class Wait {
 public:
  Wait(EngineCounters& counters, Clock::time_point from) : counters_(counters) { counters.begin_wait(from); }
  ~Wait() { counters_.end_wait(Clock::now()); }
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;

 private:
  EngineCounters& counters_;
};

}  // namespace

// --- starting an epoch ---

Status Engine::start_epoch(std::optional<std::uint64_t> epoch) {
  {
    const MutexLock lock(mutex_);
    if (closed_) return closed_status();
    if (!failure_.ok()) return finished_status();
  }
  // Without the lock: on a network file system looking at files takes a while, and threads go on meanwhile.
  // So what was asked before is asked again after it.
  Status same = check_files();
  const MutexLock lock(mutex_);
  if (closed_) return closed_status();
  if (consumed_) return in_use_status();
  const Flag consumed(consumed_);
  if (!same.ok()) {
    fail(same);
    return same;
  }
  bool threw = true;
  Status status = guarded([&] {
    mutex_.is_held();
    Status begun = begin_epoch(epoch);
    threw = false;
    return begun;
  });
  if (threw) fail(status);  // half begun: the windows are of no epoch any more
  return status;
}

// A file that was written to since it was opened would mix old and new values, and what is known of its rows
// may be wrong.
Status Engine::check_files() const {
  std::shared_ptr<const Dataset> dataset;
  {
    const MutexLock lock(mutex_);
    dataset = config_.dataset;  // close() lets go of it
  }
  return dataset == nullptr ? Status() : dataset->impl().unchanged();
}

Status Engine::begin_epoch(std::optional<std::uint64_t> epoch) {
  if (!failure_.ok()) return finished_status();
  const std::uint64_t target = epoch.value_or(progress_.next_epoch());
  // Before turn_to(), which changes what follows.
  const bool seamless = started_ && progress_.follows(target);
  progress_.turn_to(target);
  counters_.start(target, Clock::now());
  if (!started_) {
    ready_ring_.begin(admission_->begin(progress_.part_of(target), progress_.line()));
    failure_ = start_threads();
    if (!failure_.ok()) return failure_;
    started_ = true;
    admit();
    io_.notify_all();
  } else if (!seamless) {
    PENSTOCK_RETURN_IF_ERROR(restart(target));
  }
  counters_.forget_before(target);
  progress_.begin(target);
  return {};
}

// Lets what is under way end, throws it away, and begins with another epoch.
Status Engine::restart(std::uint64_t epoch) {
  paused_ = true;
  if (turner_) turner_->cancel();
  // Threads hold pointers into windows and the ring, which begin() below takes away from under them. So it
  // waits until none is at work: paused_ keeps them from beginning anything.
  const auto all_idle = [&]() PENSTOCK_REQUIRES(mutex_) {
    return decoding_ == 0 && ready_ring_.building() == 0 && admission_->fetch().reads_in_flight() == 0;
  };
  // stopping_ first: a loader that is closed has no admission any more.
  while (!stopping_ && !all_idle()) idle_.wait(mutex_);
  if (stopping_) return closed_ ? closed_status() : Status();
  std::vector<ReadyBatch> stale = ready_ring_.clear();
  {
    // Batches return their slots through a callback that takes our lock.
    const Unlocked out(mutex_);
    stale.clear();
  }
  if (stopping_) return closed_ ? closed_status() : Status();
  pages_->reset();
  build_extent_.reset();
  starved_ = false;
  errors_.clear();
  counters_.forget_epochs();
  ready_ring_.begin(admission_->begin(progress_.part_of(epoch), progress_.line()));
  paused_ = false;
  admit();
  work_.notify_all();
  io_.notify_all();
  return {};
}

// --- taking batches ---

Result<std::optional<Batch>> Engine::next(const std::function<bool()>& interrupted, bool keep) {
  const MutexLock lock(mutex_);
  if (closed_) return closed_status();
  if (consumed_) return in_use_status();
  const Flag consumed(consumed_);
  if (!failure_.ok()) return finished_status();
  if (!progress_.in_epoch()) return std::optional<Batch>();
  const auto entered = Clock::now();
  counters_.enter(entered);
  // Nothing, which ends the caller's loop. A look (keep) leaves the epoch as it is, so that the next call
  // says the same.
  if (progress_.done()) {
    if (!keep) progress_.leave();
    counters_.record(levels(), entered);
    return std::optional<Batch>();
  }
  {
    const Wait wait(counters_, entered);
    PENSTOCK_RETURN_IF_ERROR(wait_for_batch(interrupted));
  }
  const ReadyBatch& ready = *ready_ring_.front();
  if (!ready.error.ok()) {
    failure_ = ready.error;
    return failure_;
  }
  if (!keep) return std::optional<Batch>(deliver());
  progress_.peek();
  return ready.batch;
}

// Until the next batch is there, built or failed. The ring is looked at anew after every wait: close() empties
// it.
Status Engine::wait_for_batch(const std::function<bool()>& interrupted) {
  // The clock of starving begins anew whenever a batch is under way: a consumer that is slow to let go of
  // batches, but does, never times out. The user's callback is told once for each time it starts (Python
  // collects garbage there, which may hold batches).
  bool starving = false;
  Clock::time_point starved_since;
  while (ready_ring_.front() == nullptr) {
    ready_.wait_for(mutex_, kPoll);
    if (closed_) return closed_status();
    if (ready_ring_.front() != nullptr) break;
    if (!failure_.ok()) return failure_;
    // Every slot is with the consumer when the very batch it asks for is complete, finds no slot, and none is
    // being built.
    if (!starved_ || !ready_ring_.none_under_way()) {
      starving = false;
    } else if (!starving) {
      starving = true;
      starved_since = Clock::now();
      if (config_.options.on_slots_exhausted) {
        const Unlocked out(mutex_);
        config_.options.on_slots_exhausted();
      }
    } else if (in_seconds(Clock::now() - starved_since) > config_.options.slot_timeout_seconds) {
      return slots_exhausted();
    }
    if (closed_) return closed_status();
    bool stop = false;
    if (interrupted) {
      const Unlocked out(mutex_);
      stop = interrupted();
    }
    if (closed_) return closed_status();
    if (stop) return Status::cancelled("interrupted");
  }
  return {};
}

Status Engine::slots_exhausted() {
  const SlotCounts held = slots_->counts();
  // Then waiting would be of no use. The plan has set aside room for the largest batch, so this is a mistake
  // of it.
  if (held.held == 0) {
    return Status::internal(
        fmt::format("a batch does not fit into the {} set aside for batches, all of it free",
                    format_bytes(held.capacity)));
  }
  return Status::budget(fmt::format(
      "{} batches are still referenced and hold {} of the {} set aside for batches, so there is no "
      "room for the next one. Let go of batches you no longer need, copy what you keep with "
      "batch.clone(), or use more memory",
      held.held, format_bytes(held.held_bytes), format_bytes(held.capacity)));
}

bool Engine::advance() {
  std::optional<Batch> taken;  // dies without the lock, which a slot that comes back takes
  const MutexLock lock(mutex_);
  if (!progress_.peeked() || closed_ || consumed_) return false;
  taken = deliver();
  return true;
}

Batch Engine::deliver() {
  ReadyBatch ready = ready_ring_.pop();
  PENSTOCK_CHECK(ready.batch.has_value());
  progress_.take();
  work_.notify_one();  // the ready ring has room again
  const auto now = Clock::now();
  counters_.returned(*ready.batch, ready.entries, ready.missing_labels, now);
  record_when_due(now);
  return *std::move(ready.batch);
}

}  // namespace penstock::loader
