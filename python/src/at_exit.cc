#include "at_exit.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "bindings.h"

namespace penstock::python::at_exit {

namespace {

// Threads of these kinds that may ask for the GIL. Together with `ending` in one total order: who comes back
// while the hook counts is either counted or sees that it is to sleep. Example, with the hook on the right:
//
//     thread                          hook
//     outside(): 1 -> 0
//       waits for a batch             ending = true
//     inside():  0 -> 1               reads 0 or 1
//       sees ending: 1 -> 0, sleeps   at last reads 0, and Python may end
//
// Whichever order the two middle lines come in, the thread never gets past inside() uncounted.
std::atomic<int> running_daemons{0}, running_transforms{0};
std::atomic<bool> ending{false};

// Without a call into the allocator at the first use, which memory may be refused to.
// initial-exec lays the variable into the block that each thread begins with, and constinit
// spares a check of whether it has been set.
[[gnu::tls_model("initial-exec")]] constinit thread_local Kind here = Kind::unknown;

std::atomic<int>& running(Kind kind) {
  return kind == Kind::transform ? running_transforms : running_daemons;
}

void leave() {
  if (here == Kind::daemon || here == Kind::transform) --running(here);
  here = Kind::other;
}

// A daemon thread may end before Python does, and must not be waited for then.
struct LeavesWithThread {
  LeavesWithThread() = default;
  LeavesWithThread(const LeavesWithThread&) = delete;
  LeavesWithThread& operator=(const LeavesWithThread&) = delete;
  ~LeavesWithThread() { leave(); }
};

}  // namespace

void meet_this_thread() {
  // Asked before each batch, so it has to be a comparison from the second time on.
  if (here != Kind::unknown) return;
  const bool daemon =
      nb::cast<bool>(nb::module_::import_("threading").attr("current_thread")().attr("daemon"));
  if (!daemon) {
    here = Kind::other;
    return;
  }
  // Its destructor runs when this thread ends, and it exists on daemon threads alone.
  static thread_local LeavesWithThread leaves;
  static_cast<void>(&leaves);
  here = Kind::daemon;
  ++running_daemons;
}

void meet_transform_thread() {
  here = Kind::transform;
  ++running_transforms;
}

void transform_thread_ends() { leave(); }

void outside(Kind kind) noexcept {
  if (here == kind) --running(kind);
}

void inside(Kind kind) noexcept {
  if (here != kind) return;
  ++running(kind);
  if (!ending) return;
  --running(kind);
  // Not an exit and not an exception: either would unwind the stack through torch. Signals go on to be
  // delivered, and the thread ends with the process.
  for (;;) pause();
}

bool threads_ended() { return ending; }

bool end_threads(double seconds) {
  leave();  // the thread that ends the process, whatever it was
  ending = true;
  bool raised = false;
  without_gil([&] {
    // Polls are counted and not seconds: where the machine stalls, or has no core to spare, other threads have
    // had no more time than this one.
    for (int polls = 1; !raised; ++polls) {
      if (running_transforms == 0 && (running_daemons == 0 || polls > 1000 * seconds)) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      // Ctrl-C ends the waiting: its handler runs in this thread, the main one, and only if it is given the
      // chance.
      if (polls % 50 == 0) with_gil([&] { raised = PyErr_CheckSignals() != 0; });
    }
  });
  return !raised;
}

void forget_threads() {
  running_daemons = running_transforms = 0;
  here = Kind::unknown;
}

}  // namespace penstock::python::at_exit
