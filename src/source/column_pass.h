// One pass over a matrix that is stored column by column, by as many threads as like to help.
//
// A thread takes the next part, reads and decodes it, waits until the parts before it are in place, and puts
// its own entries into their rows. So decoding runs at the same time on all threads, and what rows hold never
// depends on how many threads there are.
//
// Thread contract: work(), has_parts() and cancel() from any number of threads at once; finish() from one,
// which then is the only one left. Ownership: borrows the matrix and the rows' memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/mutex.h"
#include "codecs/codec.h"
#include "penstock/status.h"
#include "source/column_major.h"
#include "source/request.h"

namespace penstock {

class ColumnPass {
 public:
  // `rows` are laid out.
  ColumnPass(const ColumnMajor& matrix, const TurnedRows& rows) : matrix_(matrix), rows_(rows) {}

  // What a thread needs, aligned to 64 bytes.
  static ByteCount bytes_needed(const ColumnMajor& matrix);

  // Takes part after part until none is left. Errors are finish()'s to tell.
  void work(std::span<std::byte> memory, RequestList& list, CodecContext& codec);
  // Whether a thread that comes to help would find something to do.
  bool has_parts() const { return taken_.load(std::memory_order_relaxed) < matrix_.n_parts() && !stopped(); }
  // The pass ends early, with `cancelled`.
  void cancel();
  // Waits for those who are still at work; what the pass came to.
  Status finish();

  // Once it has finished.
  struct Counts {
    ByteCount bytes = 0;
    std::uint64_t requests = 0;
    double read_seconds = 0, decode_seconds = 0, decompress_seconds = 0;
    ByteCount decoded = 0;
  };
  Counts counts() const;

 private:
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }
  Status one_part(std::uint64_t part, std::span<std::byte> memory, RequestList& list, CodecContext& codec);
  void fail(Status status);

  const ColumnMajor& matrix_;
  const TurnedRows rows_;
  std::atomic<std::uint64_t> taken_{0};  // parts
  std::atomic<bool> stop_{false};

  mutable Mutex mutex_;
  CondVar turn_;  // placed_, or at_work_, or stop_ has changed
  std::uint64_t placed_ PENSTOCK_GUARDED_BY(mutex_) = 0;
  std::uint64_t at_work_ PENSTOCK_GUARDED_BY(mutex_) = 0;
  Status status_ PENSTOCK_GUARDED_BY(mutex_);
  Counts counts_ PENSTOCK_GUARDED_BY(mutex_);
};

}  // namespace penstock
