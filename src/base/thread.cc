// Memory limits are usual where models are trained, and a thread meets one in three places: its stack, what
// the C library keeps for it, and what the C++ library keeps for it. The first is refused in a way that can
// be handled. The other two end the process when they are refused later, in the middle of work. So a new
// thread provokes both at once, while start() waits and can still say no.

#include "base/thread.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <semaphore>
#include <string>
#include <utility>

#include "base/check.h"

namespace penstock {
namespace {

// The deepest calls are codecs' (some 100 KiB) and messages'; with it goes what libraries keep for each
// thread.
constexpr std::size_t kStack = 1 << 20;
// What the libraries take for a thread when it first throws or allocates, with room to spare.
constexpr std::size_t kLibraries = 64 << 10;
// The heap's classes of size.
constexpr std::size_t kStep = 16;

struct Start {
  std::function<void()> run;
  bool refused = false;
  std::binary_semaphore runs{0};
};

void* trampoline(void* argument) {
  auto* start = static_cast<Start*>(argument);
  // Before anything of ours runs.
  if (!take_what_libraries_keep()) {
    start->refused = true;
    start->runs.release();  // `start` is gone from here on
    return nullptr;
  }
  const std::function<void()> run = std::move(start->run);
  start->runs.release();
  run();
  return nullptr;
}

}  // namespace

// The C++ library keeps the exceptions under way for each thread, in some ten bytes that are taken at the
// first one, and the C library ends the process when it cannot have them. A thread that is new has no part of
// the heap yet: where no address space is left for one, even those bytes are a page from the system, however
// much the heap of others has free. So they are asked for first as anything else is, and given back, to where
// this thread's next request of their size looks first.
bool take_what_libraries_keep() {
  std::array<void*, 8> kept{};
  bool refused = false;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    kept[i] = std::malloc(kStep * (i + 1));
    if (kept[i] == nullptr) {
      refused = true;
    } else {
      *static_cast<volatile char*>(kept[i]) = 0;  // compilers leave out memory that nobody uses
    }
  }
  for (void* p : kept) std::free(p);
  if (refused) return false;
  try {
    throw 0;
  } catch (int) {
  }
  return true;
}

Thread::Thread(Thread&& other) noexcept
    : handle_(other.handle_), joinable_(std::exchange(other.joinable_, false)) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(joinable_, other.joinable_);
  return *this;
}

Thread::~Thread() { PENSTOCK_CHECK(!joinable_); }

Result<Thread> Thread::start(std::function<void()> run) {
  // What the libraries will take is taken and given back, so that it is there a moment later. It is a probe
  // and no promise: another thread may be quicker.
  if (const std::unique_ptr<char[]> probe(new (std::nothrow) char[kLibraries]); probe == nullptr) {
    return Status(StatusCode::budget, "the system refused memory for a thread", ENOMEM);
  }
  Start start{.run = std::move(run)};
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (error != 0) return Status::io_error("the system refuses to start a thread", error);
  pthread_attr_setstacksize(&attributes, kStack);  // refused (never seen): the default
  Thread thread;
  error = pthread_create(&thread.handle_, &attributes, &trampoline, &start);
  pthread_attr_destroy(&attributes);
  if (error != 0) {
    return Status::io_error(std::string("the system refuses to start a thread: ") + std::strerror(error),
                            error);
  }
  thread.joinable_ = true;
  // `start` lies on this stack, so it must not end before the thread has moved `run` out of it.
  start.runs.acquire();
  if (start.refused) {
    thread.join();
    return Status(StatusCode::budget, "the system refused memory for a thread", ENOMEM);
  }
  return thread;
}

void Thread::join() {
  PENSTOCK_CHECK(joinable_);
  pthread_join(handle_, nullptr);
  joinable_ = false;
}

}  // namespace penstock
