// Reservations that grow, and reservations whose refusal says what they were for: "a.h5ad: /var/i: index
// needs 128 GB, ...".
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock {

inline Result<Reservation> reserve_for(std::string_view what, MemoryBudget& budget, MemoryTag tag,
                                       std::uint64_t bytes) {
  auto reservation = budget.reserve(tag, bytes);
  if (reservation.ok()) return reservation;
  return std::move(reservation).status().with_context(what);
}

// Resizes a reservation of `budget` to `bytes` in all; `budget`, and who holds the rest, when they are not
// there. Asking reserve() for the reason alone would be wrong: another thread may give bytes back between the
// two calls, and the failure would come out as ok.
inline Status grow(Reservation& held, MemoryBudget& budget, MemoryTag tag, std::uint64_t bytes) {
  while (!held.resize(bytes)) {
    const auto room = budget.reserve(tag, bytes - held.bytes());
    if (!room.ok()) return room.status();
  }
  return {};
}

inline Status resize_for(std::string_view what, MemoryBudget& budget, Reservation& held, MemoryTag tag,
                         std::uint64_t bytes) {
  Status status = grow(held, budget, tag, bytes);
  return status.ok() ? status : std::move(status).with_context(what);
}

}  // namespace penstock
