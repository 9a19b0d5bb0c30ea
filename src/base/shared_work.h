// Work that a caller shares with threads that have other things to do as well.
//
//   SharedWork work;
//   work.on_offer([&] { wake the threads; });
//   // a thread, between two pieces of its own work:  if (work.offered()) work.help();
//   // the caller:                                     work.run(n, [&](std::size_t part) { ... });
//
// run() does parts itself, so it ends whether or not anybody helps.
//
// Thread contract: thread-safe. One run() at a time is helped with; others meanwhile do their parts alone.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

#include "base/mutex.h"

namespace penstock {

class SharedWork {
 public:
  // Called by run() when there are parts to take, with no lock held; empty: nobody is to be woken any more.
  void on_offer(std::function<void()> callback);

  // part(0) ... part(n - 1), each once, in any order and on any thread; back when all are done. `part` must
  // not throw.
  void run(std::size_t n, const std::function<void(std::size_t)>& part);

  // There are parts that nobody has begun. A hint, without a lock.
  bool offered() const { return offered_.load(std::memory_order_relaxed); }
  // Does such parts until there are none.
  void help();

 private:
  // False when there is nothing to share, or another run() is helped with.
  bool offer(std::size_t n, const std::function<void(std::size_t)>& part) PENSTOCK_EXCLUDES(mutex_);
  void take_parts() PENSTOCK_REQUIRES(mutex_);

  Mutex mutex_;
  CondVar idle_;
  // Of the run() that is helped with.
  const std::function<void(std::size_t)>* part_ PENSTOCK_GUARDED_BY(mutex_) = nullptr;
  std::size_t n_ PENSTOCK_GUARDED_BY(mutex_) = 0;
  std::size_t next_ PENSTOCK_GUARDED_BY(mutex_) = 0;
  std::size_t under_way_ PENSTOCK_GUARDED_BY(mutex_) = 0;
  std::atomic<bool> offered_ = false;
  Mutex callback_mutex_;
  std::function<void()> callback_ PENSTOCK_GUARDED_BY(callback_mutex_);
};

}  // namespace penstock
