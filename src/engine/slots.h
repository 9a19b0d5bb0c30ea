// Slots: the memory of batches. Each is its own mapping with address space for the largest batch; only the
// bytes a batch touched are charged. A slot lives until the last tensor on it dies, even after the loader is
// closed, and then returns to the ring - from any thread, without the GIL.
//
// Thread contract: thread-safe. Ownership: SlotPool is shared by the engine and every batch handed out.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "memory/slab.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::loader {

struct SlotCounts {
  std::uint64_t held = 0;  // slots out of the pool
  ByteCount held_bytes = 0;
  ByteCount capacity = 0;  // bytes all slots may hold
};

class SlotPool : public std::enable_shared_from_this<SlotPool> {
 public:
  // `reservation` holds the bytes that all slots together may touch; what a slot touches is charged in whole
  // granules: pages of 4 KiB, or huge pages. Where address space is short there are fewer slots, at least the
  // four batches (or n_slots, when that is less) that every loader promises; less is a `budget` status.
  static Result<std::shared_ptr<SlotPool>> create(Reservation reservation, std::uint64_t n_slots,
                                                  ByteCount largest, ByteCount granule);

  // Memory for a batch of `bytes`, 64-byte aligned, or null when neither a slot nor bytes are free. The
  // memory returns when the last copy of the pointer dies.
  Result<std::shared_ptr<std::byte>> acquire(ByteCount bytes);

  // Called after every return of a slot (no lock held); empty stops it. The callback may not call back into
  // the pool.
  void on_release(std::function<void()> callback);
  SlotCounts counts() const;
  // Frees what is not held; the rest goes as it comes back.
  void close();

 private:
  SlotPool() = default;
  struct Held;
  struct Slot {
    Slab slab;
    ByteCount charged = 0;  // touched, rounded to pages
    bool out = false;
  };
  void release(std::size_t slot);

  mutable Mutex mutex_;
  Reservation reservation_ PENSTOCK_GUARDED_BY(mutex_);
  std::vector<Slot> slots_ PENSTOCK_GUARDED_BY(mutex_);
  ByteCount capacity_ PENSTOCK_GUARDED_BY(mutex_) = 0;
  ByteCount charged_ PENSTOCK_GUARDED_BY(mutex_) = 0;
  ByteCount granule_ PENSTOCK_GUARDED_BY(mutex_) = 4096;
  bool closed_ PENSTOCK_GUARDED_BY(mutex_) = false;
  const pid_t pid_ = getpid();
  Mutex callback_mutex_;
  std::function<void()> callback_ PENSTOCK_GUARDED_BY(callback_mutex_);
};

}  // namespace penstock::loader
