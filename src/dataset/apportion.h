// How many rows of each class each part of a stratified split gets.
//
// Thread contract: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::internal {

struct Apportioned {
  std::vector<std::uint64_t> counts;  // of class s and part p: [s * n_parts + p]
  Reservation held;                   // under `obs`
};

// Controlled rounding of sizes[s] * shares[p], where the shares sum to 1: every count is the product rounded
// down or up (exact where the product is whole), each class's counts sum to its size, and each part's to its
// share of all rows, rounded down or up. Such a table always exists. `seed` says which classes are rounded
// which way.
Result<Apportioned> apportion(std::span<const std::uint64_t> sizes, std::span<const double> shares,
                              std::uint64_t seed, MemoryBudget& budget);

}  // namespace penstock::internal
