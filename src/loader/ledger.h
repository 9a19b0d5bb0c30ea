// What a plan holds of its budget, by purpose: the one place where planning reserves memory and where the
// plan's numbers of memory come from.
//
// Labels, row tables, weights and blocks reserve what they hold from the budget themselves. So the ledger
// does not add up what it was told: it asks the budget, which cannot have forgotten anything. Beside that it
// knows what is left free on purpose, for somebody who reserves it later.
//
// Thread contract: externally synchronised. Ownership: shares the budget, which must be this loader's alone
// (a share of one counts as that).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/types.h"
#include "memory/reserve_for.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::loader {

class Ledger {
 public:
  explicit Ledger(std::shared_ptr<MemoryBudget> budget) : budget_(std::move(budget)) {}

  // For those who reserve what they hold themselves.
  MemoryBudget& budget() const { return *budget_; }

  Status reserve(MemoryTag tag, ByteCount bytes, Reservation* into) {
    PENSTOCK_ASSIGN_OR_RETURN(*into, budget_->reserve(tag, bytes));
    return {};
  }
  Status add(ByteCount bytes, Reservation* to) { return grow(*to, *budget_, to->tag(), to->bytes() + bytes); }
  // Bytes that nobody reserves before they are needed, and that the plan leaves free for them.
  void set_aside(MemoryTag tag, ByteCount bytes) { aside_[static_cast<std::size_t>(tag)] += bytes; }

  // Reserved and set aside, now.
  std::array<std::uint64_t, kMemoryTags> by_tag() const {
    auto bytes = budget_->usage().used_by_tag;
    for (std::size_t i = 0; i < kMemoryTags; ++i) bytes[i] += aside_[i];
    return bytes;
  }
  ByteCount of(MemoryTag tag) const { return by_tag()[static_cast<std::size_t>(tag)]; }

 private:
  std::shared_ptr<MemoryBudget> budget_;
  std::array<std::uint64_t, kMemoryTags> aside_{};
};

}  // namespace penstock::loader
