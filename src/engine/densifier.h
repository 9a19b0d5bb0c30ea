// The inside of a Densifier: a loader's buffers for dense results, and its threads' help.
//
// Thread contract: thread-safe.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "base/shared_work.h"
#include "base/types.h"
#include "engine/slots.h"
#include "penstock/memory_budget.h"

namespace penstock::internal {

class DensifierImpl {
 public:
  // At most `buffers` of `bytes` each. They are reserved when the first result is asked for, so that who
  // wants none pays for none.
  DensifierImpl(std::shared_ptr<MemoryBudget> budget, std::uint64_t buffers, ByteCount bytes)
      : budget_(std::move(budget)), buffers_(buffers), bytes_(bytes) {}

  // A buffer that nobody holds, or null.
  std::shared_ptr<std::byte> buffer(ByteCount bytes);
  // Parts of a job, on the caller's thread and those that call shared().help().
  void run(std::size_t parts, const std::function<void(std::size_t)>& part);
  SharedWork& shared() { return shared_; }
  // Nobody helps from here on; buffers go as they come back.
  void close();

 private:
  void reserve() PENSTOCK_REQUIRES(mutex_);

  SharedWork shared_;
  const std::shared_ptr<MemoryBudget> budget_;
  const std::uint64_t buffers_;
  const ByteCount bytes_;
  Mutex mutex_;
  std::shared_ptr<loader::SlotPool> pool_ PENSTOCK_GUARDED_BY(mutex_);
  bool closed_ PENSTOCK_GUARDED_BY(mutex_) = false;
  const pid_t pid_ = getpid();  // in a forked child neither threads nor, maybe, the locks are there
};

}  // namespace penstock::internal
