// What a run looked like over time: a fixed number of samples that get coarser as the run gets longer.
//
// The engine samples its counters whenever it holds its lock anyway and a sample is due; nothing is allocated
// and a sample costs well under a microsecond. When all places are taken every other sample goes and the
// interval doubles, so that a run of any length has kSamples / 2 to kSamples samples, evenly spaced where
// there was something to do.
//
// Thread contract: externally synchronised (the engine's lock). Memory: kBytes, counted under `index`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "penstock/memory_budget.h"

namespace penstock::loader {

// Counters at one moment; as in LoaderStats, with what is under way (a wait, the model's step) counted in.
struct LoaderSample {
  double seconds = 0;  // since the first start_epoch()
  std::uint64_t epoch = 0, batches = 0, rows = 0, rows_decoded = 0, bytes_read = 0;
  double read = 0, worker_read = 0, decode = 0, scatter = 0, assemble = 0;
  double idle = 0, idle_for_reads = 0, idle_for_pages = 0, idle_for_consumer = 0;
  double wait = 0, busy = 0;
  std::uint64_t window_used = 0, slots_used = 0;    // bytes
  std::array<std::uint64_t, kMemoryTags> memory{};  // bytes reserved
};

// What came out of one file.
struct FileCounts {
  std::uint64_t bytes_read = 0, rows = 0, blocks = 0;  // of decoded blocks; rows decoded twice count twice
};

class Recorder {
 public:
  static constexpr std::size_t kSamples = 256;
  static constexpr double kFirstInterval = 2e-3;  // seconds
  static constexpr std::size_t kBytes = kSamples * sizeof(LoaderSample);

  bool due(double seconds) const { return seconds >= next_; }
  void add(const LoaderSample& sample);
  std::span<const LoaderSample> samples() const { return {samples_.data(), size_}; }
  double interval() const { return interval_; }

 private:
  std::array<LoaderSample, kSamples> samples_;
  std::size_t size_ = 0;
  double interval_ = kFirstInterval;
  double next_ = 0;
};

}  // namespace penstock::loader
