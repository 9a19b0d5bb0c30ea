// A thread that the system may refuse, with a stack of a size that is chosen.
//
//   PENSTOCK_ASSIGN_OR_RETURN(Thread thread, Thread::start([&] { work(); }));
//   thread.join();
//
// Why not std::thread: its stacks reserve 8 MiB of address space each, which under `ulimit -v` is most of
// what a process may have; and what the C and C++ libraries keep for a thread is made when the thread first
// needs it, where a refusal ends the process. Here it is made, and the thread known to run, before start()
// returns.
//
// Thread contract: a Thread belongs to one thread at a time. It must be joined before it is destroyed.
#pragma once

#include <pthread.h>

#include <functional>

#include "penstock/status.h"

namespace penstock {

class Thread {
 public:
  Thread() = default;
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread();

  // Runs `run`, which must not throw. `io_error` or `budget` when the system refuses a thread or its memory.
  static Result<Thread> start(std::function<void()> run);

  bool joinable() const { return joinable_; }
  void join();

 private:
  pthread_t handle_{};
  bool joinable_ = false;
};

// Makes what the C++ library keeps for the calling thread now, as start() does for its thread: it would be
// made at the first exception, where a refusal ends the process. False when the system refuses the memory.
bool take_what_libraries_keep();

}  // namespace penstock
