// Bytes that are reserved before they are taken: what metadata is read into, and what files are checked with.
// The data path has no use for it: its memory comes once, from a Slab.
//
// Thread contract: externally synchronised. Ownership: borrows the budget.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/types.h"
#include "memory/reserve_for.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock {

class ReservedBuffer {
 public:
  // what: for messages, "a.parquet: footer". budget: nullptr counts nothing.
  ReservedBuffer(std::string what, MemoryBudget* budget, MemoryTag tag)
      : what_(std::move(what)), budget_(budget), tag_(tag) {}

  // At least so many bytes. Where that is more than before, what was in them is lost: the old memory goes
  // before the new is asked for, so that no more is ever held than is reserved.
  Status grow_to(ByteCount bytes) {
    if (bytes <= size_) return {};
    memory_ = {};
    size_ = 0;
    if (budget_ != nullptr && !held_) {
      PENSTOCK_ASSIGN_OR_RETURN(held_, reserve_for(what_, *budget_, tag_, bytes));
    } else if (budget_ != nullptr) {
      PENSTOCK_RETURN_IF_ERROR(resize_for(what_, *budget_, *held_, tag_, bytes));
    }
    memory_.resize(bytes + kAlign - 1);
    size_ = bytes;
    return {};
  }
  // Gives everything back.
  void clear() {
    memory_ = {};
    size_ = 0;
    held_.reset();
  }

  ByteCount size() const { return size_; }
  // All of it, aligned to 64 bytes.
  std::span<std::byte> bytes() {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    return {memory_.data() + (kAlign - address % kAlign) % kAlign, size_};
  }
  std::span<std::byte> first(ByteCount n) { return bytes().first(n); }

 private:
  static constexpr std::size_t kAlign = 64;

  std::string what_;
  MemoryBudget* budget_;
  MemoryTag tag_;
  std::optional<Reservation> held_;
  std::vector<std::byte> memory_;  // kAlign - 1 bytes longer, so that an aligned part of it is long enough
  ByteCount size_ = 0;
};

}  // namespace penstock
