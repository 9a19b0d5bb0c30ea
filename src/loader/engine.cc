#include "loader/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "loader/epoch_cost.h"
#include "loader/state.h"

namespace penstock::loader {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(50);

double seconds(std::chrono::steady_clock::duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(EngineConfig config) {
  std::unique_ptr<Engine> engine(new Engine(std::move(config)));
  EngineConfig& c = engine->config_;
  const plan::WindowSizing& w = c.window;
  engine->slots_ =
      SlotPool::create(std::move(c.slots_memory), c.rest.n_slots, c.batch.worst, c.batch.granule);
  const ByteCount pages =
      c.options.test_window_bytes != 0 ? c.options.test_window_bytes : w.n_pages * w.page_bytes;
  PENSTOCK_ASSIGN_OR_RETURN(Slab slab, Slab::map(std::max(pages, w.page_bytes), true));
  engine->pages_ = std::make_unique<PagePool>(std::move(slab), w.page_bytes);
  PENSTOCK_ASSIGN_OR_RETURN(engine->page_links_,
                            Slab::map(engine->pages_->n_pages() * sizeof(std::uint32_t), false));
  const std::span links(reinterpret_cast<std::uint32_t*>(engine->page_links_.data()),
                        engine->pages_->n_pages());
  for (auto& window : engine->windows_) {
    window = std::make_unique<Window>(engine->pages_.get(), links, w.window_rows, w.bin_rows);
  }
  PENSTOCK_ASSIGN_OR_RETURN(Slab arena, Slab::map(c.rest.fetch_bytes, true));
  engine->fetch_ = std::make_unique<FetchRing>(std::move(arena), kMaxTasks);
  for (std::uint32_t i = 0; i < c.rest.threads; ++i) {
    PENSTOCK_ASSIGN_OR_RETURN(auto worker, WorkerState::create(c));
    engine->workers_.push_back(std::move(worker));
  }
  engine->slots_->on_release([e = engine.get()] {
    const Lock lock(e->mutex_);
    e->starved_ = false;
    e->work_.notify_one();
  });
  engine->ready_ring_.resize(c.rest.n_slots + c.rest.threads + 2);
  engine->enough_ready_ = std::max<std::uint64_t>(2, c.rest.n_slots / 2);
  engine->file_counts_.resize(c.parts.size());
  if (c.resume) {
    engine->resuming_ = true;
    engine->next_epoch_ = c.resume->epoch;
  }
  return engine;
}

void EngineConfig::rows_to_read(const plan::Segment& segment, const plan::TapeRuns* line,
                                std::vector<RowRange>& out) const {
  const plan::Block& block = blocks[segment.block];
  if (sampling) {
    plan::selected_ranges(parts[block.file], block, 0, block.selected, out);
  } else {
    plan::segment_ranges(parts[block.file], block, segment, line, out);
  }
}

plan::EpochPart EngineConfig::whole_epoch(std::uint64_t epoch) const {
  plan::EpochRule rule = rule_of(state);
  rule.epoch = epoch;
  return plan::whole_epoch(rule, options.rank, options.world_size);
}

Engine::~Engine() { close(); }

std::uint64_t Engine::next_epoch() const {
  const Lock lock(mutex_);
  return next_epoch_;
}

plan::EpochPart Engine::part_of(std::uint64_t epoch) const {
  if (!resuming_ || epoch != config_.resume->epoch) return config_.whole_epoch(epoch);
  // Without the line, which is large and stays where it is.
  plan::EpochPart part;
  part.epoch = epoch;
  part.share = config_.resume->share;
  part.batches_done = config_.resume->batches_done;
  part.ramp = config_.resume->ramp;
  return part;
}

Result<LoaderState> Engine::state(std::optional<std::uint64_t> batches_done) const {
  const Lock lock(mutex_);
  LoaderState s = config_.state;
  const std::uint64_t returned = ever_started_ ? delivered_ - batches_done_ : 0;
  if (batches_done.value_or(0) > returned) {
    return Status::invalid_argument(fmt::format(
        "batches_done={}, but only {} batches of this epoch were returned", *batches_done, returned));
  }
  s.epoch = ever_started_ ? epoch_ : next_epoch_;
  s.lineage =
      plan::continue_lineage(resuming_ ? config_.resume->lineage : Lineage(), config_.options.world_size);
  s.lineage.back().batches_done += batches_done.value_or(returned);
  if (ever_started_ && s.lineage.back().batches_done == share_.n_batches) {
    ++s.epoch;
    s.lineage.clear();
  }
  // A stage in which nothing is done yet is none.
  while (!s.lineage.empty() && s.lineage.back().batches_done == 0) s.lineage.pop_back();
  return s;
}

std::uint64_t Engine::epoch_batches() const {
  const Lock lock(mutex_);
  return resuming_ ? config_.resume->batches_before + config_.resume->share.n_batches
                   : config_.share.n_batches;
}

Status Engine::finished_status() const {
  Status copy = failure_;
  return std::move(copy).with_context("the loader is finished after an error");
}

Status Engine::start_epoch(std::optional<std::uint64_t> epoch) {
  Lock lock(mutex_);
  if (closed_) return Status::cancelled("loader closed");
  if (!failure_.ok()) return finished_status();
  const std::uint64_t target = epoch.value_or(next_epoch_);
  const auto now = Clock::now();
  if (!ever_started_) first_start_ = now;
  // An epoch is resumed once, at the first start.
  const bool resumes = resuming_ && !ever_started_ && target == config_.resume->epoch;
  ever_started_ = true;
  returned_ = false;
  // Windows of the next epoch are already under way when the last one was read to its end.
  const bool seamless = started_ && target == epoch_ + 1 && delivered_ == share_.n_batches;
  resuming_ = resumes;
  if (!started_) {
    begin_first(target);
    failure_ = start_threads();
    if (!failure_.ok()) return failure_;
    started_ = true;
    admit();
    io_.notify_all();
  } else if (!seamless) {
    reset(lock, target);
    if (closed_) return Status::cancelled("loader closed");
  }
  std::erase_if(epoch_reads_, [&](const EpochReads& e) { return e.epoch < target; });
  in_epoch_ = true;
  epoch_ = target;
  next_epoch_ = target + 1;
  const plan::EpochPart part = part_of(target);
  share_ = part.share;
  delivered_ = batches_done_ = part.batches_done;
  counters_.epoch = target;
  return {};
}

void Engine::begin_at(plan::EpochPart part) {
  opening_ = std::move(part);
  tape_ = std::make_unique<plan::Tape>(config_.tape(opening_.epoch));
  sequence_ = std::make_unique<plan::WindowSequence>(opening_.share, config_.options.batch_size,
                                                     config_.window.window_rows, opening_.ramp);
  skip_batches_ = sequence_->skip(opening_.batches_done);
  cursor_.reset();
}

void Engine::begin_first(std::uint64_t epoch) {
  begin_at(part_of(epoch));
  line_ = resuming_ && config_.resume->line ? &*config_.resume->line : nullptr;
  // The window that holds the next batch begins with sequence 0.
  build_sequence_ = deliver_sequence_ = skip_batches_;
}

void Engine::reset(Lock& lock, std::uint64_t epoch) {
  paused_ = true;
  idle_.wait(lock, [&] { return (busy_ == 0 && fetch_->reads_in_flight() == 0) || stopping_; });
  if (stopping_) return;
  // Batches return their slots through a callback that takes our lock.
  std::vector<Ready> stale(ready_ring_.size());
  stale.swap(ready_ring_);
  lock.unlock();
  stale.clear();
  lock.lock();
  if (stopping_) return;
  fetch_->reset();
  pages_->reset();
  for (auto& window : windows_) window->active = false;
  filling_ = nullptr;
  task_prepared_ = false;
  opened_ = draining_ = next_sequence_ = build_sequence_ = deliver_sequence_ = 0;
  build_extent_.reset();
  starved_ = false;
  errors_.clear();
  epoch_reads_.clear();
  begin_first(epoch);
  paused_ = false;
  admit();
  work_.notify_all();
  io_.notify_all();
}

bool Engine::open_next_window() {
  Window& window = *windows_[opened_ % 2];
  if (window.active || (opening_.share.n_batches == 0 && config_.share.n_batches == 0)) return false;
  auto next = sequence_->next();
  if (!next) {
    // The next epoch's first window follows without a gap.
    begin_at(config_.whole_epoch(opening_.epoch + 1));
    line_ = nullptr;
    next = sequence_->next();
    if (!next) return false;
  }
  const auto& o = config_.options;
  window.open(*next, opening_.epoch, next_sequence_, o.shuffle,
              plan::window_key(o.seed, opening_.epoch, next->first), o.batch_size,
              std::exchange(skip_batches_, 0));
  next_sequence_ += next->n_batches;
  if (!cursor_ || cursor_->tape_row() != next->first)
    cursor_ = std::make_unique<plan::TapeCursor>(tape_.get(), next->first, line_);
  filling_ = &window;
  ++opened_;
  return true;
}

void Engine::admit() {
  if (paused_ || stopping_) return;
  for (;;) {
    if (filling_ == nullptr && !open_next_window()) return;
    if (!task_prepared_) {
      BlockTask* task = fetch_->prepare();
      if (task == nullptr) return;
      if (!cursor_->next(filling_->plan().first + filling_->plan().rows, &task->segment)) {
        filling_ = nullptr;
        continue;
      }
      task->window = filling_;
      task->block = config_.blocks[task->segment.block];
      const internal::FilePart& part = config_.parts[task->block.file];
      task->line = line_;
      config_.rows_to_read(task->segment, line_, task->wanted);
      task->error = part.source->requests(task->wanted, Heads::estimated, task->requests);
      if (task->error.ok()) {
        task->error = config_.labels.requests(
            task->block.file, {task->wanted.front().first, task->wanted.back().last}, task->requests);
      }
      if (!task->error.ok()) task->requests.clear();
      task->requests.coalesce(kCoalesceGap, kCoalesceMax);
      task_prepared_ = true;
    }
    if (!fetch_->submit()) return;
    task_prepared_ = false;
  }
}

std::uint32_t Engine::add_error(Status status) {
  errors_.push_back(std::move(status));
  return static_cast<std::uint32_t>(errors_.size() - 1);
}

Result<std::optional<Batch>> Engine::next(const std::function<bool()>& interrupted, bool keep) {
  Lock lock(mutex_);
  if (closed_) return Status::cancelled("loader closed");
  if (!failure_.ok()) return finished_status();
  if (!in_epoch_) return std::optional<Batch>();
  const auto entered = Clock::now();
  if (returned_) counters_.consumer_busy_seconds += seconds(entered - last_return_);
  returned_ = false;
  if (delivered_ == share_.n_batches) {
    if (!keep) in_epoch_ = false;
    recorder_.add(sample(entered));
    return std::optional<Batch>();
  }
  waiting_ = true;
  waiting_since_ = entered;
  const struct Waiting {
    bool& flag;
    ~Waiting() { flag = false; }
  } until_return{waiting_};
  Ready& slot = ready_ring_[deliver_sequence_ % ready_ring_.size()];
  bool starving = false;
  Clock::time_point starved_since = entered;
  while (!slot.filled) {
    ready_.wait_for(lock, kPoll);
    if (closed_) return Status::cancelled("loader closed");
    if (slot.filled) break;
    // Every slot is with the consumer when the very batch it asks for is complete, finds no slot, and none is
    // being built.
    if (starved_ && build_sequence_ == deliver_sequence_ && building_ == 0) {
      if (!starving) {
        starving = true;
        starved_since = Clock::now();
        if (config_.options.on_slots_exhausted) {
          lock.unlock();
          config_.options.on_slots_exhausted();
          lock.lock();
          if (closed_) return Status::cancelled("loader closed");
        }
      } else if (seconds(Clock::now() - starved_since) > config_.options.slot_timeout_seconds) {
        const SlotCounts held = slots_->counts();
        counters_.consumer_wait_seconds += seconds(Clock::now() - entered);
        if (held.held == 0) {
          return Status::internal(
              fmt::format("a batch does not fit into the {} set aside for batches, all of it free",
                          format_bytes(held.capacity)));
        }
        return Status::budget(
            fmt::format("{} batches are still referenced and hold {} of the {} set aside for batches, so "
                        "there is no room for the next "
                        "one. Let go of batches you no longer need, copy what you keep with batch.clone(), "
                        "or use more memory",
                        held.held, format_bytes(held.held_bytes), format_bytes(held.capacity)));
      }
    } else {
      starving = false;
    }
    if (interrupted) {
      lock.unlock();
      const bool stop = interrupted();
      lock.lock();
      if (closed_) return Status::cancelled("loader closed");
      if (stop) return Status::cancelled("interrupted");
    }
  }
  const auto now = Clock::now();
  counters_.consumer_wait_seconds += seconds(now - entered);
  waiting_ = false;
  if (!slot.error.ok()) {
    failure_ = slot.error;
    return slot.error;
  }
  if (keep) return slot.batch;
  PENSTOCK_CHECK(slot.batch.has_value());
  Batch batch = *std::move(slot.batch);
  counters_.labels_missing += slot.missing_labels;
  slot = Ready();
  ++deliver_sequence_;
  ++delivered_;
  ++counters_.batches;
  counters_.rows += batch.n_rows;
  counters_.entries += batch.values.size;
  work_.notify_one();  // the ready ring has room again
  last_return_ = Clock::now();
  returned_ = true;
  counters_.last_batch_seconds = seconds(last_return_ - first_start_);
  if (counters_.batches == 1) counters_.first_batch_seconds = counters_.last_batch_seconds;
  record(last_return_);
  return std::optional<Batch>(std::move(batch));
}

LoaderStats Engine::stats() const {
  const Lock lock(mutex_);
  LoaderStats s = counters_;
  if (ever_started_) s.elapsed_seconds = seconds(Clock::now() - first_start_);
  for (const EpochReads& e : epoch_reads_) {
    if (e.epoch != epoch_) continue;
    s.epoch_bytes_read = e.bytes;
    s.epoch_reads = e.reads;
  }
  const SlotCounts held = slots_->counts();
  // Slots out of the pool: with the consumer, or built and waiting to be returned.
  std::uint64_t waiting = building_;
  for (const Ready& r : ready_ring_) waiting += r.filled && r.batch ? 1 : 0;
  s.slots_held = held.held > waiting ? held.held - waiting : 0;
  s.slot_bytes_used = held.held_bytes;
  if (pages_) s.window_bytes_used = (pages_->n_pages() - pages_->free_pages()) * pages_->page_bytes();
  return s;
}

Result<EpochCost> Engine::epoch_cost(std::uint64_t epoch) const {
  // close() frees what the sum is made of.
  const std::lock_guard once(close_mutex_);
  bool resumed = false;
  {
    const Lock lock(mutex_);
    if (closed_) return Status::cancelled("loader closed");
    resumed = resuming_ && epoch == config_.resume->epoch;
  }
  return resumed ? loader::epoch_cost(config_, *config_.resume)
                 : loader::epoch_cost(config_, config_.whole_epoch(epoch));
}

Result<LabelMixing> Engine::mixing(const std::string& label, std::optional<std::uint64_t> epoch,
                                   std::uint64_t most_batches, MemoryBudget& budget) const {
  const std::lock_guard once(close_mutex_);  // as in epoch_cost()
  std::uint64_t number = 0;
  bool resumed = false;
  {
    const Lock lock(mutex_);
    if (closed_) return Status::cancelled("loader closed");
    number = epoch.value_or(next_epoch_);
    resumed = resuming_ && number == config_.resume->epoch;
  }
  const internal::DatasetImpl& data = config_.dataset->impl();
  return resumed ? work_out_mixing(config_, *config_.resume, data, label, most_batches, budget)
                 : work_out_mixing(config_, config_.whole_epoch(number), data, label, most_batches, budget);
}

LoaderSample Engine::sample(Clock::time_point now) const {
  const LoaderStats& c = counters_;
  LoaderSample s;
  s.seconds = seconds(now - first_start_);
  s.epoch = c.epoch;
  s.batches = c.batches;
  s.rows = c.rows;
  s.rows_decoded = c.rows_decoded;
  s.bytes_read = c.bytes_read;
  s.read = c.read_seconds;
  s.worker_read = c.worker_read_seconds;
  s.decode = c.decode_seconds;
  s.scatter = c.scatter_seconds;
  s.assemble = c.assemble_seconds;
  s.idle = c.worker_idle_seconds;
  s.idle_for_reads = c.idle_for_reads_seconds;
  s.idle_for_pages = c.idle_for_pages_seconds;
  s.idle_for_consumer = c.idle_for_consumer_seconds;
  s.wait = c.consumer_wait_seconds + (waiting_ ? seconds(now - waiting_since_) : 0);
  s.busy = c.consumer_busy_seconds + (returned_ && !closed_ ? seconds(now - last_return_) : 0);
  if (pages_) s.window_used = (pages_->n_pages() - pages_->free_pages()) * pages_->page_bytes();
  s.slots_used = slots_->counts().held_bytes;
  s.memory = config_.budget->usage().used_by_tag;
  return s;
}

void Engine::record(Clock::time_point now) {
  if (recorder_.due(seconds(now - first_start_))) recorder_.add(sample(now));
}

std::vector<LoaderSample> Engine::history() const {
  const Lock lock(mutex_);
  const auto samples = recorder_.samples();
  std::vector<LoaderSample> out(samples.begin(), samples.end());
  if (!closed_ && counters_.rows > (out.empty() ? 0 : out.back().rows)) out.push_back(sample(Clock::now()));
  return out;
}

std::vector<FileCounts> Engine::file_counts() const {
  const Lock lock(mutex_);
  return file_counts_;
}

void Engine::close() {
  const std::lock_guard once(close_mutex_);
  // Before the lock: a release that is under way holds the callback and waits for our lock.
  if (slots_) slots_->on_release({});
  Lock lock(mutex_);
  if (ever_started_ && !closed_) recorder_.add(sample(Clock::now()));
  closed_ = true;
  stopping_ = true;
  work_.notify_all();
  io_.notify_all();
  ready_.notify_all();
  idle_.notify_all();
  std::vector<std::thread> threads = std::move(threads_);
  threads_.clear();
  lock.unlock();
  for (std::thread& t : threads) t.join();
  lock.lock();
  std::vector<Ready> stale(ready_ring_.size());
  stale.swap(ready_ring_);
  lock.unlock();
  stale.clear();
  lock.lock();
  if (slots_) slots_->close();
  // What is left is freed with its reservation; stats() stays.
  workers_.clear();
  fetch_.reset();
  for (auto& window : windows_) window.reset();
  pages_.reset();
  page_links_ = Slab();
  config_.window_memory.release();
  config_.scratch_memory.release();
  config_.fetch_memory.release();
  config_.parts.clear();
  config_.weights = RowWeights();
  config_.sampling.reset();
  config_.labels = Labels();
  config_.blocks = plan::BlockTable();
  line_ = nullptr;
  if (config_.resume) config_.resume->line.reset();
  config_.index_memory.release();
  config_.dataset.reset();
}

}  // namespace penstock::loader
