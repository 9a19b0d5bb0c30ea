// How a batch gets to the loop, and is not lost on its way there.
//
// Note [A signal at any moment]. The Python handler of a signal, Ctrl-C's for one, runs between two bytecodes
// of the main thread and may raise there. A batch that the engine had counted as taken, and that only a line
// of Python knew, would be lost. So the outermost next() is C. It asks Python for the next item, which may be
// broken off anywhere and is asked for again then. Once it has the item, it tells where that came from that
// it is taken, and returns it to the loop: between these two no bytecode is run.
#include <condition_variable>
#include <mutex>

#include "at_exit.h"
#include "bindings.h"

namespace penstock::python {

namespace {

// A ``with`` block, or a next(), for one thread at a time. Another is refused and not kept waiting: batches
// that two threads take from one loader without knowing of each other are a mistake, whatever their order.
// It is free for its own thread: a Ctrl-C may have come between taking it and the block.
class OneThread {
 public:
  bool enter() {
    // Here because every way to a batch comes through here.
    at_exit::meet_this_thread();
    const unsigned long me = PyThread_get_thread_ident();
    // No atomic is needed: no bytecode runs between the look and the note, so the GIL is not given away.
    if (inside_ != 0 && inside_ != me) return false;
    inside_ = me;
    return true;
  }
  void leave() { inside_ = 0; }

 private:
  unsigned long inside_ = 0;  // guarded by the GIL
};

[[noreturn]] void refuse_thread() {
  nb::raise(
      "this loader is in use by another thread, and is for one thread at a time: give each thread a Loader "
      "of its own (they can share a MemoryBudget), or let one thread call next() and hand the batches to "
      "the others");
}

// What one thread raises and another waits for. Raised twice is raised once.
class Signal {
 public:
  void raise() {
    {
      const std::lock_guard lock(mutex_);
      raised_ = true;
    }
    changed_.notify_one();
  }

  // Every wait ends from now on.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }

  // Waits for 50 ms at most, and runs the handlers of signals; one that raises (Ctrl-C) raises here. The
  // caller looks again at what it waits for: a handler may have waited for the same, and taken the signal.
  void wait() {
    bool failed = false;
    without_gil([&] {
      std::unique_lock lock(mutex_);
      // Signals wake nobody who waits for a condition, so it is asked twenty times a second whether one has
      // come.
      changed_.wait_for(lock, std::chrono::milliseconds(50), [this] { return raised_ || closed_; });
      const bool raised = raised_ || closed_;
      lower();
      lock.unlock();
      // After the lock was given back: a handler may run any Python, and raise this same signal.
      if (!raised) with_gil([&] { failed = PyErr_CheckSignals() != 0; });
    });
    if (failed) throw nb::python_error();
  }

  // The same for the thread of a transform. Does not return when the process is about to end.
  bool rest() {
    return without_gil([this] {
      // without_gil() does this for daemon threads; those of transforms are counted apart, since the
      // end waits longer for them.
      at_exit::outside(at_exit::Kind::transform);
      bool open = false;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return raised_ || closed_; });
        open = lower();
      }
      at_exit::inside(at_exit::Kind::transform);
      return open;
    });
  }

 private:
  bool lower() {
    raised_ = false;
    return !closed_;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool raised_ = false, closed_ = false;  // guarded by mutex_
};

// How many results of a transform the loop has been given. In Python, `result` is the one that it gets next.
struct Handed {
  std::uint64_t delivered = 0;
};

// The next one is asked for before the loop gets this one, so that it is made while the loop works.
bool accept_result(nb::handle self) {
  nb::cast<Signal&>(self.attr("asked")).raise();
  nb::setattr(self, "result", nb::none());
  ++nb::cast<Handed&>(self).delivered;
  return true;
}

// An iterator; Note [A signal at any moment]. Its Python class has
//   one_thread  a OneThread
//   take()      (item, None), or (None, an error to be raised in its place); raises what is not an item's,
//               StopIteration at the end. Until accept() has returned true it gives the same item again
//   accept      a function in C: the item that take() has given is with the loop. False: it is gone, ask anew
//   refuse()    raises when another thread than the one that is inside must not wait for it
struct HandOver {
  bool inside = false;
};

// Made once; a name of C is a new string each time.
struct Names {
  nb::handle one_thread = PyUnicode_InternFromString("one_thread");
  nb::handle take = PyUnicode_InternFromString("take");
  nb::handle accept = PyUnicode_InternFromString("accept");
};

nb::object next(nb::handle self) {
  static const Names names;
  OneThread& one_thread = nb::cast<OneThread&>(self.attr(names.one_thread));
  HandOver& here = nb::cast<HandOver&>(self);
  if (!one_thread.enter()) {
    self.attr("refuse")();
    refuse_thread();
  }
  // A handler that calls next() would be given the item that the next() below is about to return: twice the
  // same.
  if (here.inside)
    nb::raise("next() of this iterator is called inside its own next(), by a signal's handler?");
  struct Inside {
    OneThread& one_thread;
    bool& inside;
    ~Inside() {
      inside = false;
      one_thread.leave();
    }
  } const leaves{one_thread, here.inside};
  here.inside = true;
  for (;;) {
    // If a signal breaks off take(), the exception leaves through here with nothing accepted, and the item is
    // still there for the next call.
    const auto taken = nb::cast<nb::tuple>(self.attr(names.take)());
    if (!nb::cast<bool>(self.attr(names.accept)())) continue;
    const nb::object error = taken[1];
    if (error.is_none()) return taken[0];
    // An error that stands for an item, such as one of a transform: it was accepted, so that the
    // loop may go on behind it.
    PyErr_SetObject(error.type().ptr(), error.ptr());
    throw nb::python_error();
  }
}

}  // namespace

void bind_iteration(nb::module_& m) {
  m.def("meet_transform_thread", &at_exit::meet_transform_thread, "The end of the process waits for it.");
  m.def("transform_thread_ends", &at_exit::transform_thread_ends);
  m.def(
      "threads_ended",
      [] {
        if (!at_exit::threads_ended()) return false;
        // Where daemon threads stop: one that went on with Python's locks would stop at its next call, with
        // them held, and a transform that wants them would keep the process for good.
        without_gil([] {});
        return true;
      },
      "end_threads() has begun. Does not return to a daemon thread then.");
  m.def(
      "end_threads",
      [](double seconds) {
        if (!at_exit::end_threads(seconds)) throw nb::python_error();
      },
      nb::arg("seconds"), "Daemon threads stay out of Python from now on; waits until they do.");
  m.def("forget_threads", &at_exit::forget_threads, "In a forked child.");
  m.def(
      "wait_for_lock",
      [](nb::handle lock) {
        lock.attr("acquire")();
        lock.attr("release")();
      },
      nb::arg("lock"), nb::sig("def wait_for_lock(lock: typing.Any) -> None"),
      "Until a threading.Lock is free. In Python a Ctrl-C between two lines could leave it locked.");
  nb::class_<OneThread>(m, "OneThread", "A `with` block for one thread at a time; others are refused.")
      .def(nb::init<>())
      .def("__enter__",
           [](OneThread& self) {
             if (!self.enter()) refuse_thread();
           })
      .def(
          "__exit__", [](OneThread& self, const nb::args&) { self.leave(); },
          nb::sig("def __exit__(self, *args: object) -> None"));
  nb::class_<Signal>(m, "Signal", "What one thread raises and another waits for.")
      .def(nb::init<>())
      .def("set", &Signal::raise)
      .def("close", &Signal::close, "Every wait ends from now on.")
      .def("wait", &Signal::wait, "Until it is raised or closed; 50 ms at most.")
      .def("rest", &Signal::rest, "Until it is raised, for the thread of a transform. False: it is closed.");
  nb::class_<Handed>(m, "Handed", "Internal: see penstock.ahead.Progress.")
      .def(nb::init<>())
      .def_ro("delivered", &Handed::delivered)
      .def("accept", &accept_result, nb::sig("def accept(self) -> bool"),
           "The loop has `result`: forgets it, counts it and asks for the next.");
  nb::class_<HandOver>(m, "HandOver", "An iterator whose next() loses nothing to Ctrl-C.")
      .def(nb::init<>())
      .def(
          "__iter__", [](nb::handle self) { return nb::borrow(self); },
          nb::sig("def __iter__(self) -> typing.Self"))
      .def("__next__", &next, nb::sig("def __next__(self) -> typing.Any"));
}

}  // namespace penstock::python
