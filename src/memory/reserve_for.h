// Reservations whose refusal says what they were for: "a.h5ad: /var/i: index needs 128 GB, ...".
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

// Grows or shrinks a reservation of `budget`.
inline Status resize_for(std::string_view what, MemoryBudget& budget, Reservation& held, MemoryTag tag,
                         std::uint64_t bytes) {
  if (held.resize(bytes)) return {};
  // reserve() knows how to say who holds the rest.
  return reserve_for(what, budget, tag, bytes).status();
}

}  // namespace penstock
