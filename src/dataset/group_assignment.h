// Which part of a split each group goes to, whole.
//
// Thread contract: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::internal {

// Rows by group and class, group after group: those of group g are [begins[g], begins[g + 1]),
// the last of them for the class of all rows.
struct GroupRows {
  std::vector<std::uint64_t> begins{0};
  std::vector<std::uint32_t> strata;
  std::vector<std::uint64_t> rows;   // at least 1
  std::vector<std::uint64_t> sizes;  // of each class, over all groups
};

// The part of each group. Larger groups first (by powers of two; in seeded random order among alike), each to
// the part that lacks most of its classes; then groups move while that brings the parts nearer to their
// shares. Near is the sum over parts and classes of (rows - share * size)^2 / size. The first `n_required`
// parts of a share > 0 get a group each; there are as many groups. The shares sum to 1.
Result<std::vector<std::uint32_t>> assign_groups(const GroupRows& groups, std::span<const double> shares,
                                                 std::size_t n_required, std::uint64_t seed,
                                                 MemoryBudget& budget);

}  // namespace penstock::internal
