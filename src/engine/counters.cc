// Most counters are sums that only grow. Three things are not: times that are still running, which a sample
// counts up to now; the reads of each epoch, as blocks of the next one are read while this one is delivered;
// and counts by file.
//
// Some times are parts of others, as in LoaderStats: decompressing and scattering are counted in
// decode_seconds, and what workers read in read_seconds, so that a sum of all fields means nothing.
#include "engine/counters.h"

#include <algorithm>

namespace penstock::loader {

void EngineCounters::start(std::uint64_t epoch, Clock::time_point now) {
  if (!started_) first_start_ = now;
  started_ = true;
  returned_ = false;
  totals_.epoch = epoch;
}

// An epoch's sums are wanted while it is delivered, and a run may have any number of epochs.
void EngineCounters::forget_before(std::uint64_t epoch) {
  std::erase_if(epochs_, [&](const EpochReads& e) { return e.epoch < epoch; });
}

// The training loop's time is that between two calls. Before the first batch of an epoch there is no such
// time: start() clears `returned_`, so that validating between two epochs does not count as training.
void EngineCounters::enter(Clock::time_point now) {
  if (returned_) totals_.consumer_busy_seconds += in_seconds(now - last_return_);
  returned_ = false;
}

void EngineCounters::begin_wait(Clock::time_point now) {
  waiting_ = true;
  waiting_since_ = now;
}

// Where next() is interrupted or fails the wait counts, too; the wait object of next() ends it in any case.
void EngineCounters::end_wait(Clock::time_point now) {
  waiting_ = false;
  totals_.consumer_wait_seconds += in_seconds(now - waiting_since_);
}

void EngineCounters::returned(const Batch& batch, std::uint64_t entries, std::uint64_t missing_labels,
                              Clock::time_point now) {
  ++totals_.batches;
  totals_.rows += batch.n_rows;
  totals_.entries += entries;
  totals_.labels_missing += missing_labels;
  last_return_ = now;
  returned_ = true;
  // Since the very first start, not that of this epoch: the two times tell how long a run took to begin.
  totals_.last_batch_seconds = in_seconds(now - first_start_);
  if (totals_.batches == 1) totals_.first_batch_seconds = totals_.last_batch_seconds;
}

// What is left of the whole when the three reasons are taken away is idle for others.
void EngineCounters::idle(IdleFor what, Clock::duration d) {
  const double seconds = in_seconds(d);
  totals_.worker_idle_seconds += seconds;
  switch (what) {
    case IdleFor::consumer:
      totals_.idle_for_consumer_seconds += seconds;
      break;
    case IdleFor::pages:
      totals_.idle_for_pages_seconds += seconds;
      break;
    case IdleFor::reads:
      totals_.idle_for_reads_seconds += seconds;
      break;
    case IdleFor::others:
      break;
  }
}

// By the epoch that the bytes are for, which may be one that the consumer has not come to yet.
void EngineCounters::read(double seconds, std::uint64_t bytes, std::size_t requests, std::uint64_t epoch) {
  totals_.read_seconds += seconds;
  totals_.bytes_read += bytes;
  totals_.reads += requests;
  EpochReads& sum = of_epoch(epoch);
  sum.bytes += bytes;
  sum.requests += requests;
}

void EngineCounters::built(double seconds, const AssembleCounts& batch) {
  totals_.assemble_seconds += seconds;
  totals_.rows_deferred += batch.deferred;
  totals_.bytes_reread += batch.again.bytes;
  totals_.rereads += batch.again.requests;
}

void EngineCounters::decoded(const BlockCounts& block) {
  totals_.decode_seconds += block.seconds;
  totals_.decompress_seconds += block.decompress_seconds;
  totals_.scatter_seconds += block.scatter_seconds;
  totals_.heads_too_short += block.heads_too_short;
  totals_.entries_unknown += block.entries_unknown;
  totals_.bytes_reread += block.again.bytes;
  totals_.rereads += block.again.requests;
  totals_.rows_decoded += block.rows;
  totals_.bytes_decoded += block.bytes_decoded;
  totals_.values_rounded += block.values_rounded;
  totals_.rows_sorted += block.rows_sorted;
  ++totals_.blocks_decoded;
  of_epoch(block.epoch).decoded += block.bytes_decoded;
  FileCounts& file = files_[block.file];
  file.bytes_read += block.bytes_read;
  file.rows += block.rows;
  ++file.blocks;
}

// A worker's pass over a file reads and decodes. Its rows count when their blocks are decoded from memory.
void EngineCounters::turned(std::uint32_t file, std::uint64_t epoch, const ColumnPass::Counts& pass) {
  read(pass.read_seconds, pass.bytes, pass.requests, epoch);
  totals_.worker_read_seconds += pass.read_seconds;
  totals_.decode_seconds += pass.decode_seconds;
  totals_.decompress_seconds += pass.decompress_seconds;
  totals_.bytes_decoded += pass.decoded;
  of_epoch(epoch).decoded += pass.decoded;
  files_[file].bytes_read += pass.bytes;
}

// Mostly two epochs are in the list, the one delivered and the next, so that a search from the front is
// enough.
EngineCounters::EpochReads& EngineCounters::of_epoch(std::uint64_t epoch) {
  auto found =
      std::find_if(epochs_.begin(), epochs_.end(), [&](const EpochReads& e) { return e.epoch == epoch; });
  if (found == epochs_.end()) found = epochs_.insert(found, EpochReads{.epoch = epoch});
  return *found;
}

LoaderStats EngineCounters::stats(std::uint64_t epoch, Clock::time_point now) const {
  LoaderStats s = totals_;
  if (started_) s.elapsed_seconds = in_seconds(now - first_start_);
  for (const EpochReads& e : epochs_) {
    if (e.epoch != epoch) continue;
    s.epoch_bytes_read = e.bytes;
    s.epoch_reads = e.requests;
    s.epoch_bytes_decoded = e.decoded;
  }
  return s;
}

LoaderSample EngineCounters::sample(const Levels& levels, Clock::time_point now) const {
  const LoaderStats& c = totals_;
  LoaderSample s;
  s.seconds = in_seconds(now - first_start_);
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
  // A wait of a minute, or a step of the model that takes as long, shows in every sample while it lasts, and
  // not at its end alone.
  s.wait = c.consumer_wait_seconds + (waiting_ ? in_seconds(now - waiting_since_) : 0);
  s.busy = c.consumer_busy_seconds + (returned_ ? in_seconds(now - last_return_) : 0);
  s.window_used = levels.window_used;
  s.slots_used = levels.slots_used;
  s.memory = levels.memory;
  return s;
}

std::vector<LoaderSample> EngineCounters::history(const Levels* now) const {
  const auto samples = recorder_.samples();
  std::vector<LoaderSample> out(samples.begin(), samples.end());
  // With nothing new since the last sample, one of now would only draw the time after the run.
  const bool came = totals_.rows > (out.empty() ? 0 : out.back().rows);
  if (now != nullptr && came) out.push_back(sample(*now, Clock::now()));
  return out;
}

}  // namespace penstock::loader
