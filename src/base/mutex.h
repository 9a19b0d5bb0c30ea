// A mutex whose discipline clang checks when it compiles: which members it guards, which functions need it.
//
//   Mutex mutex_;
//   int count_ PENSTOCK_GUARDED_BY(mutex_) = 0;
//   void add() PENSTOCK_REQUIRES(mutex_) { ++count_; }
//
//   MutexLock lock(mutex_);      // until the end of the scope
//   {
//     Unlocked out(mutex_);      // not held in here, and held again behind, whatever is thrown in between
//     read_a_file();
//   }
//
// An access without the mutex, or a path that forgets to give it back, is an error in every clang build
// (-Wthread-safety); other compilers do not look. A lambda is a function of its own to the check: one that
// is called directly says `[&]() PENSTOCK_REQUIRES(mutex_) { ... }`, one that is handed to others begins with
// `mutex_.is_held();`.
//
// Source: https://clang.llvm.org/docs/ThreadSafetyAnalysis.html
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define PENSTOCK_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define PENSTOCK_THREAD_ATTRIBUTE(x)
#endif

#define PENSTOCK_GUARDED_BY(mutex) PENSTOCK_THREAD_ATTRIBUTE(guarded_by(mutex))
#define PENSTOCK_REQUIRES(...) PENSTOCK_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define PENSTOCK_EXCLUDES(...) PENSTOCK_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
// For a function that takes a mutex which another one gives back: the check looks at one at a time.
#define PENSTOCK_NO_THREAD_SAFETY_ANALYSIS PENSTOCK_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace penstock {

class PENSTOCK_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  void lock() PENSTOCK_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void unlock() PENSTOCK_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  // For a lambda that runs where the mutex is held: tells the check so.
  void is_held() const PENSTOCK_THREAD_ATTRIBUTE(assert_capability(this)) {}

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class PENSTOCK_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) PENSTOCK_THREAD_ATTRIBUTE(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() PENSTOCK_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// For a part of a scope that holds the mutex: lets go of it, and takes it again at the end.
class PENSTOCK_THREAD_ATTRIBUTE(scoped_lockable) Unlocked {
 public:
  explicit Unlocked(Mutex& mutex) PENSTOCK_THREAD_ATTRIBUTE(release_capability(mutex)) : mutex_(mutex) {
    mutex_.unlock();
  }
  ~Unlocked() PENSTOCK_THREAD_ATTRIBUTE(release_capability()) { mutex_.lock(); }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  Mutex& mutex_;
};

// Wakes may come for no reason: wait in a loop that looks at what it waits for.
class CondVar {
 public:
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }
  void wait(Mutex& mutex) PENSTOCK_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();  // still held, by who called
  }
  void wait_for(Mutex& mutex, std::chrono::steady_clock::duration at_most) PENSTOCK_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    condition_.wait_for(lock, at_most);
    lock.release();
  }

 private:
  std::condition_variable condition_;
};

}  // namespace penstock
