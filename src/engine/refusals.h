// What a loader answers that is closed, or in another thread's hands.
#pragma once

#include "penstock/status.h"

namespace penstock::loader {

inline Status closed_status() {
  return Status::cancelled("loader closed: close() ends its iterators, too; make a new loader to go on");
}

inline Status in_use_status() {
  return Status::cancelled(
      "another thread is using this loader, which is for one thread at a time: give each thread a loader of "
      "its own, or let one thread call next() and hand the batches to the others");
}

}  // namespace penstock::loader
