// Memory limits are usual where models are trained, and a thread meets one in three places: its stack, what
// the C library keeps for it, and what the C++ library keeps for it. The first is refused in a way that can
// be handled. The other two end the process when they are refused later, in the middle of work. So a new
// thread provokes both at once, while start() waits and can still say no.

#include "base/thread.h"

#include <cerrno>
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

struct Start {
  std::function<void()> run;
  std::binary_semaphore runs{0};
};

// The C++ library keeps the exceptions under way for each thread, in memory that is taken at the first one;
// the C library aborts when it cannot have that memory. Here it still can.
void take_what_libraries_keep() {
  try {
    throw 0;
  } catch (int) {
  }
}

void* trampoline(void* argument) {
  auto* start = static_cast<Start*>(argument);
  // Before anything of ours runs.
  take_what_libraries_keep();
  const std::function<void()> run = std::move(start->run);
  start->runs.release();  // `start` is gone from here on
  run();
  return nullptr;
}

}  // namespace

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
  return thread;
}

void Thread::join() {
  PENSTOCK_CHECK(joinable_);
  pthread_join(handle_, nullptr);
  joinable_ = false;
}

}  // namespace penstock
