// A File that counts what is read through it: the Dataset wraps each file it opens, so that stats() can say
// where every byte was read for.
//
// Thread contract: as File; the counts are atomic and outlive the files.
#pragma once

#include <atomic>
#include <memory>

#include "io/file.h"

namespace penstock {

// Whole reads that succeeded. A read that failed is not counted, whatever it transferred before.
struct ReadCounts {
  std::atomic<ByteCount> bytes{0};
  std::atomic<std::uint64_t> reads{0};
};

std::shared_ptr<const File> count_reads(std::shared_ptr<const File> file, std::shared_ptr<ReadCounts> counts);

// Bytes that the calling thread has ever read through counted files. The difference of two calls is what the
// work between them read, whatever other threads do.
ByteCount thread_bytes_read();

}  // namespace penstock
