// Growing a reservation, with a reason when that fails.
#pragma once

#include "penstock/memory_budget.h"

namespace penstock {

// Resizes a reservation of `budget` to `bytes` in all; `budget`, and who holds the rest, when they are not
// there. Asking reserve() for the reason alone would be wrong: another thread may give bytes back between the
// two calls, and the failure would come out as ok.
inline Status grow(Reservation& reservation, MemoryBudget& budget, MemoryTag tag, std::uint64_t bytes) {
  while (!reservation.resize(bytes)) {
    const auto room = budget.reserve(tag, bytes - reservation.bytes());
    if (!room.ok()) return room.status();
  }
  return {};
}

}  // namespace penstock
