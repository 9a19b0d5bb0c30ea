// What a loader has done so far, in numbers: its totals, the epoch's reads, what each file gave, and samples
// of the run over time.
//
// Thread contract: externally synchronised (the engine's lock). Nothing is allocated while batches flow, but
// for an epoch's place in the sums of reads.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/counts.h"
#include "engine/recorder.h"
#include "penstock/batch.h"
#include "penstock/memory_budget.h"
#include "penstock/stats.h"
#include "source/column_pass.h"

namespace penstock::loader {

using Clock = std::chrono::steady_clock;

inline double in_seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

// Levels at one moment, which others keep.
struct Levels {
  std::uint64_t window_used = 0, slots_used = 0;    // bytes
  std::array<std::uint64_t, kMemoryTags> memory{};  // bytes reserved
};

class EngineCounters {
 public:
  explicit EngineCounters(std::size_t n_files) : files_(n_files) {}

  // --- the consumer ---
  void start(std::uint64_t epoch, Clock::time_point now);
  // Sums of reads of earlier epochs are let go of; of all epochs where nothing is under way any more.
  void forget_before(std::uint64_t epoch);
  void forget_epochs() { epochs_.clear(); }
  // next() was called: the time since it last returned was the training loop's.
  void enter(Clock::time_point now);
  // It waits for a batch from here on, until end_wait().
  void begin_wait(Clock::time_point now);
  void end_wait(Clock::time_point now);
  void returned(const Batch& batch, std::uint64_t entries, std::uint64_t missing_labels,
                Clock::time_point now);

  // --- the threads ---
  // What a worker that has nothing to do waits for.
  enum class IdleFor { consumer, pages, reads, others };
  void idle(IdleFor what, Clock::duration d);
  void read(double seconds, std::uint64_t bytes, std::size_t requests, std::uint64_t epoch);
  void worker_read(double seconds) { totals_.worker_read_seconds += seconds; }
  void built(double seconds, const AssembleCounts& batch);
  void decoded(const BlockCounts& block);
  // A pass over a file that is stored by columns.
  void turned(std::uint32_t file, std::uint64_t epoch, const ColumnPass::Counts& pass);

  // --- asked at any time ---
  bool started() const { return started_; }
  // Totals so far; what others keep (slots, memory) is not filled in.
  LoaderStats stats(std::uint64_t epoch, Clock::time_point now) const;
  std::vector<FileCounts> files() const { return files_; }
  // Samples of the run so far, oldest first; with `now` one of the present when batches came since.
  std::vector<LoaderSample> history(const Levels* now) const;
  bool sample_due(Clock::time_point now) const { return recorder_.due(in_seconds(now - first_start_)); }
  void record(const Levels& levels, Clock::time_point now) { recorder_.add(sample(levels, now)); }

 private:
  struct EpochReads {
    std::uint64_t epoch = 0, bytes = 0, requests = 0, decoded = 0;
  };
  EpochReads& of_epoch(std::uint64_t epoch);
  LoaderSample sample(const Levels& levels, Clock::time_point now) const;

  LoaderStats totals_;
  std::vector<EpochReads> epochs_;  // the consumer's epoch and those that are read ahead of it
  std::vector<FileCounts> files_;
  Recorder recorder_;
  bool started_ = false;
  Clock::time_point first_start_;
  bool returned_ = false;  // next() has returned, and has not been called since
  Clock::time_point last_return_;
  bool waiting_ = false;  // next() waits since waiting_since_
  Clock::time_point waiting_since_;
};

}  // namespace penstock::loader
