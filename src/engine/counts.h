// What one piece of a worker's work came to; EngineCounters adds it up under the engine's lock.
#pragma once

#include <cstdint>

namespace penstock::loader {

// Rows that were read again: deferred ones, and those of chunks whose head was estimated too short.
struct RereadCounts {
  std::uint64_t bytes = 0, requests = 0;
};

// What building one batch came to.
struct AssembleCounts {
  std::uint64_t entries = 0, missing_labels = 0;
  std::uint64_t deferred = 0;  // rows that found no page, and were read again
  RereadCounts again;
};

// What decoding one block came to.
struct BlockCounts {
  std::uint32_t file = 0;
  std::uint64_t epoch = 0;
  std::uint64_t bytes_read = 0, bytes_decoded = 0, rows = 0;
  std::uint64_t heads_too_short = 0, entries_unknown = 0;
  std::uint64_t values_rounded = 0, rows_sorted = 0;
  RereadCounts again;
  double seconds = 0, decompress_seconds = 0, scatter_seconds = 0;
};

}  // namespace penstock::loader
