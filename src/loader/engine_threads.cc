// What the engine's threads do: workers build the next batch in order if they can, else decode the next block
// in order; I/O threads read ahead.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "base/check.h"
#include "base/checked.h"
#include "loader/assemble.h"
#include "loader/engine.h"
#include "loader/scatter.h"
#include "loader/sync_read.h"

namespace penstock::loader {
namespace {

// Reads that take longer than a warm page cache explains: seconds, and seconds per byte.
constexpr double kSlowRead = 100e-6, kSlowByte = 1e-9;
constexpr int kReadAheadMemory = 64;  // quick reads before the I/O threads rest again

double seconds(std::chrono::steady_clock::duration d) { return std::chrono::duration<double>(d).count(); }

// Takes the first n rows away.
void drop_rows(std::vector<RowRange>& rows, std::uint64_t n) {
  std::erase_if(rows, [&n](RowRange& range) {
    const std::uint64_t part = std::min<std::uint64_t>(n, range.size());
    n -= part;
    range.first += part;
    return range.first == range.last;
  });
}

// Decodes what is left of a block of whose chunks too short a head was read: `wanted` without the rows that
// the sink has got. One range comes from whole chunks; those after it may be well estimated; when they are
// not either, range by range from whole chunks. So what is read at once is bounded like a block, and what is
// read in all by three times that.
Status decode_rest(const RowSource& source, std::vector<RowRange>& wanted, Scatter& sink, WorkerState& worker,
                   AssembleCounts* counts) {
  Scratch scratch{worker.source_scratch, &worker.codec};
  scratch.totals = sink.wants_totals();
  const auto decode = [&](std::span<const RowRange> rows, Heads heads) -> Status {
    RequestList& list = worker.reread_requests;
    list.clear();
    PENSTOCK_RETURN_IF_ERROR(source.requests(rows, heads, list));
    list.coalesce(0, kCoalesceMax);
    PENSTOCK_RETURN_IF_ERROR(read_requests(list, worker.reread));
    counts->bytes_reread += list.total_bytes();
    counts->rereads += list.requests().size();
    return source.decode(rows, Fetched(list.requests(), worker.reread.data()), scratch, sink);
  };
  drop_rows(wanted, sink.rows_decoded());
  PENSTOCK_RETURN_IF_ERROR(decode({&wanted.front(), 1}, Heads::whole));
  wanted.erase(wanted.begin());
  if (wanted.empty()) return {};
  const std::uint64_t before = sink.rows_decoded();
  const Status status = decode(wanted, Heads::estimated);
  if (!scratch.head_too_short) return status;
  drop_rows(wanted, sink.rows_decoded() - before);
  for (const RowRange& range : wanted) PENSTOCK_RETURN_IF_ERROR(decode({&range, 1}, Heads::whole));
  return {};
}

}  // namespace

Status Engine::start_threads() {
  // Fewer threads than planned are slower, never wrong; without any worker nothing would come.
  const auto start = [this](auto run) {
    try {
      threads_.emplace_back(run);
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  };
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (!start([this, i] { worker_main(i); })) {
      if (i == 0) return Status::io_error("the system refuses to start a thread", EAGAIN);
      break;
    }
  }
  for (std::uint32_t i = 0; i < config_.io_threads; ++i) {
    if (!start([this] { io_main(); })) break;
    can_read_ahead_ = true;
  }
  return {};
}

void Engine::worker_main(std::size_t number) {
  WorkerState& worker = *workers_[number];
  Lock lock(mutex_);
  while (!stopping_) {
    // Batches first, as long as few are ready: the consumer waits for them. Once it has enough to go on with,
    // the next window first: where it is the slower one, it would wait for that window.
    const bool ahead = build_sequence_ - deliver_sequence_ >= enough_ready_;
    if (!paused_ && (ahead ? try_decode(lock, worker) || try_build(lock, worker)
                           : try_build(lock, worker) || try_decode(lock, worker))) {
      continue;
    }
    const auto from = Clock::now();
    double* waited_for = idle_counter();
    work_.wait(lock);
    const double idle = seconds(Clock::now() - from);
    counters_.worker_idle_seconds += idle;
    if (waited_for != nullptr) *waited_for += idle;
  }
}

double* Engine::idle_counter() {
  if (starved_ || build_sequence_ - deliver_sequence_ >= ready_ring_.size())
    return &counters_.idle_for_consumer_seconds;
  // A block is there to be decoded, and this thread did not take it: no pages.
  if (fetch_->next_to_decode() != nullptr || (read_ahead_ == 0 && fetch_->next_unread() != nullptr))
    return &counters_.idle_for_pages_seconds;
  return fetch_->reads_in_flight() > 0 ? &counters_.idle_for_reads_seconds : nullptr;
}

// The next batch may belong to the window after the one that drains, whose last batches are still being
// built.
Window* Engine::window_of_next_batch() {
  for (std::uint64_t i = draining_; i < opened_; ++i) {
    Window* window = windows_[i % 2].get();
    if (build_sequence_ < window->first_sequence() + window->plan().n_batches) return window;
  }
  return nullptr;
}

// The oldest batch first: it is what the consumer waits for, and its bin's pages are what blocks wait for.
bool Engine::try_build(Lock& lock, WorkerState& worker) {
  if (build_sequence_ - deliver_sequence_ >= ready_ring_.size()) return false;
  Window* window = window_of_next_batch();
  if (window == nullptr) return false;
  const std::uint64_t b = build_sequence_ - window->first_sequence();
  const std::uint64_t bin = window->bin_of_batch(b);
  if (!window->bin_complete(bin)) return false;
  if (!build_extent_) build_extent_ = batch_extent(*window, b, config_.options.batch_size);
  const BatchExtent extent = *build_extent_;
  std::shared_ptr<std::byte> slot;
  if (extent.error < 0) {
    auto got = slots_->acquire(slot_bytes(config_, extent.rows, extent.entries));
    if (!got.ok() || !*got) {
      starved_ = true;
      return false;
    }
    slot = *std::move(got);
  }
  starved_ = false;
  build_extent_.reset();
  const std::uint64_t sequence = build_sequence_++;
  ++building_;
  ++busy_;
  const Status read_error = extent.error < 0 ? Status() : errors_[static_cast<std::size_t>(extent.error)];
  // More batches may be ready to be built by others.
  work_.notify_one();
  lock.unlock();

  const auto from = Clock::now();
  AssembleCounts counts;
  Result<Batch> batch = read_error.ok() ? build_batch(config_, *window, b, extent, slot, worker, &counts)
                                        : Result<Batch>(read_error);
  slot.reset();
  const double took = seconds(Clock::now() - from);

  lock.lock();
  --building_;
  --busy_;
  counters_.assemble_seconds += took;
  record(Clock::now());
  counters_.rows_deferred += counts.deferred;
  counters_.bytes_reread += counts.bytes_reread;
  counters_.rereads += counts.rereads;
  Ready& ready = ready_ring_[sequence % ready_ring_.size()];
  if (batch.ok()) {
    ready.batch = *std::move(batch);
  } else {
    ready.error = std::move(batch).status();
  }
  ready.missing_labels = counts.missing_labels;
  ready.filled = true;
  if (sequence == deliver_sequence_) ready_.notify_all();
  if (window->count_built(bin) == window->batches_in_bin(bin)) window->free_bin(bin);
  if (++window->batches_built == window->plan().n_batches) window->active = false;
  while (draining_ < opened_ && !windows_[draining_ % 2]->active) ++draining_;
  if (fetch_->half_empty()) {
    admit();
    if (read_ahead_ > 0) io_.notify_one();
  }
  work_.notify_all();
  idle_.notify_all();
  return true;
}

std::uint32_t Engine::pages_for(const BlockTask& task) const {
  // A block opens at most one page per row; and per bin it touches, plus one per page's worth of bytes.
  const plan::WindowSizing& w = config_.window;
  const std::uint64_t rows = task.segment.rows;
  const ByteCount page = w.page_bytes;
  std::uint64_t pages = std::min(rows, task.window->n_bins() + ceil_div(2 * rows * w.row_bytes, page));
  if (w.row_bytes > page / 2) pages = rows * ceil_div(2 * w.row_bytes, page);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(pages, pages_->n_pages()));
}

// Note [No deadlock], rule 2.
bool Engine::pages_will_come() {
  if (decoding_ > 0 || building_ > 0) return true;
  const Window* window = window_of_next_batch();
  return window != nullptr &&
         window->bin_complete(window->bin_of_batch(build_sequence_ - window->first_sequence()));
}

// Note [Who reads]. From a warm page cache a worker reads its own block just before it decodes it: the bytes
// are in its core's cache and nobody is woken. As soon as a read takes longer than a warm cache explains, the
// I/O threads read ahead instead, as many at once as there are reads to issue, until reads are quick again.
void Engine::note_read(double took, ByteCount bytes, std::size_t reads, std::uint64_t epoch) {
  const bool slow = took > kSlowRead + static_cast<double>(bytes) * kSlowByte;
  if (slow && can_read_ahead_) {
    read_ahead_ = std::min(read_ahead_ + 8, kReadAheadMemory);
    io_.notify_one();
  } else if (read_ahead_ > 0) {
    --read_ahead_;
  }
  counters_.read_seconds += took;
  counters_.bytes_read += bytes;
  counters_.reads += reads;
  auto of_epoch = std::find_if(epoch_reads_.begin(), epoch_reads_.end(),
                               [&](const EpochReads& e) { return e.epoch == epoch; });
  if (of_epoch == epoch_reads_.end()) of_epoch = epoch_reads_.insert(of_epoch, EpochReads{.epoch = epoch});
  of_epoch->bytes += bytes;
  of_epoch->reads += reads;
}

bool Engine::try_decode(Lock& lock, WorkerState& worker) {
  BlockTask* task = fetch_->next_to_decode();
  const bool read_here = task == nullptr && read_ahead_ == 0;
  if (read_here) task = fetch_->next_unread();
  if (task == nullptr) return false;
  std::uint32_t pledged = pages_for(*task);
  if (!pages_->pledge(pledged)) {
    if (pages_will_come()) return false;
    pledged = 0;
  }
  fetch_->start_decode();
  ++decoding_;
  ++busy_;
  // Reads end in any order: the next block may have been waiting for this one to be taken.
  if (fetch_->next_to_decode() != nullptr) work_.notify_one();
  const std::byte* bytes = fetch_->bytes(*task);
  if (read_here) {
    // Into the worker's own buffer: it stays in the core's cache, which the arena is too large for.
    const bool own = task->bytes <= worker.reread.size();
    const std::span<std::byte> into = own ? worker.reread : std::span(fetch_->bytes(*task), task->bytes);
    read_block(*task, into, lock);
    bytes = into.data();
  }
  lock.unlock();
  decode(*task, bytes, worker, pledged, lock);
  return true;
}

void Engine::read_block(BlockTask& task, std::span<std::byte> into, Lock& lock) {
  fetch_->issue_all(&task);
  lock.unlock();
  const auto from = Clock::now();
  if (task.error.ok()) task.error = read_requests(task.requests, into);
  const double took = seconds(Clock::now() - from);
  lock.lock();
  counters_.worker_read_seconds += took;
  note_read(took, task.bytes, task.requests.requests().size(), task.window->epoch());
}

void Engine::decode(BlockTask& task, const std::byte* bytes, WorkerState& worker, std::uint32_t pledged,
                    Lock& lock) {
  const auto from = Clock::now();
  (void)worker.codec.take_seconds();  // of rows that were read again for a batch
  std::uint64_t heads_too_short = 0, entries_unknown = 0;
  AssembleCounts again;
  const std::uint32_t file = task.block.file;
  const internal::FilePart& part = config_.parts[file];
  const Fetched fetched(task.requests.requests(), bytes);
  Labels::View labels;
  Status status = task.error;
  if (!status.ok()) {
    status = std::move(status).with_context(fmt::format(
        "{}: rows {} to {}", part.source->label(), task.wanted.front().first, task.wanted.back().last - 1));
  }
  if (status.ok()) {
    auto prepared = config_.labels.prepare(file, {task.wanted.front().first, task.wanted.back().last},
                                           fetched, {worker.label_scratch, &worker.codec});
    if (prepared.ok()) {
      labels = *prepared;
    } else {
      status = std::move(prepared).status();
    }
  }
  Scatter scatter(config_, task, labels, worker, pledged);
  if (status.ok()) {
    status = scatter.weigh(task);
  }
  if (status.ok()) {
    Scratch scratch{worker.source_scratch, &worker.codec};
    scratch.totals = config_.keeps_totals();
    status = part.source->decode(task.wanted, fetched, scratch, scatter);
    entries_unknown = scratch.entries_dropped;
    if (scratch.head_too_short) {
      ++heads_too_short;
      status = decode_rest(*part.source, task.wanted, scatter, worker, &again);
    }
  }
  if (status.ok() && scatter.rows_placed() != task.segment.rows) {
    status = Status::internal("a block came out with " + std::to_string(scatter.rows_placed()) +
                              " rows instead of " + std::to_string(task.segment.rows));
  }
  const SourceTraits& traits = part.source->traits();
  const double took = seconds(Clock::now() - from);
  scatter.count_rows();

  lock.lock();
  if (!status.ok()) scatter.fail_rest(add_error(std::move(status)));
  scatter.count_rows();
  pages_->unpledge(scatter.pledged_left());
  --decoding_;
  --busy_;
  counters_.decode_seconds += took;
  counters_.heads_too_short += heads_too_short;
  counters_.entries_unknown += entries_unknown;
  counters_.bytes_reread += again.bytes_reread;
  counters_.rereads += again.rereads;
  counters_.decompress_seconds += worker.codec.take_seconds();
  counters_.scatter_seconds += scatter.seconds();
  record(Clock::now());
  FileCounts& counts = file_counts_[file];
  counts.bytes_read += task.bytes;
  counts.rows += scatter.rows_decoded();
  ++counts.blocks;
  counters_.rows_decoded += scatter.rows_decoded();
  ++counters_.blocks_decoded;
  counters_.bytes_decoded +=
      scatter.entries() * (numeric_size(traits.value_type) + numeric_size(traits.index_type));
  counters_.values_rounded += std::exchange(worker.encoder->counts().rounded, 0);
  counters_.rows_sorted += std::exchange(worker.encoder->counts().rows_sorted, 0);
  fetch_->release(&task);
  if (fetch_->half_empty()) {
    admit();
    if (read_ahead_ > 0) io_.notify_one();
  }
  work_.notify_all();
  idle_.notify_all();
}

void Engine::io_main() {
  Lock lock(mutex_);
  while (!stopping_) {
    ReadJob job;
    if (paused_ || !fetch_->next_read(&job, read_ahead_ == 0)) {
      io_.wait(lock);
      continue;
    }
    // Each reader wakes the next while there is more to read.
    io_.notify_one();
    lock.unlock();
    const auto from = Clock::now();
    Status status = job.request.file->read_at(job.request.offset, {job.into, job.request.bytes});
    const double took = seconds(Clock::now() - from);
    lock.lock();
    note_read(took, job.request.bytes, 1, job.task->window->epoch());
    if (fetch_->read_done(job, std::move(status))) work_.notify_one();
    if (paused_) idle_.notify_all();
  }
}

}  // namespace penstock::loader
