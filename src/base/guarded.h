// What the standard library throws when the system refuses - memory, a thread - as a Status.
//
// The core works with values (penstock/status.h), but containers throw std::bad_alloc. Each public entry of
// the library that can fail runs inside guarded(), and so does each thread of the engine, so that a refusal
// ends a call and never the process:
//
//   Result<Plan> plan() { return guarded([&] { return make_plan(); }); }
#pragma once

#include <cerrno>
#include <exception>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "penstock/status.h"

namespace penstock {

// Of the exception that is being handled. Takes no memory when there is none.
Status refusal();

template <class F>
auto guarded(F&& call) -> decltype(call()) {
  try {
    return std::forward<F>(call)();
  } catch (const std::exception&) {
    return refusal();
  }
}

}  // namespace penstock
