// A reservation for something whose size nobody knows before it is read: bytes are added before each part of
// it is taken.
//
// Thread contract: externally synchronised. Ownership: borrows the budget.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock {

class Growing {
 public:
  // what: for messages, "a.parquet: footer".
  Growing(std::string what, MemoryBudget& budget, MemoryTag tag)
      : what_(std::move(what)), budget_(budget), tag_(tag) {}

  // Before so many more bytes are taken. `budget` when they do not fit.
  Status add(std::uint64_t bytes) {
    constexpr std::uint64_t kMost = ~std::uint64_t{0} >> 2;
    bytes_ = std::min(checked_add(bytes_, bytes).value_or(kMost), kMost);
    if (bytes_ <= held_.bytes()) return {};
    if (held_.bytes() == 0) {
      PENSTOCK_ASSIGN_OR_RETURN(held_, reserve_for(what_, budget_, tag_, bytes_));
      return {};
    }
    // In steps where they fit: asking costs more than a short string.
    constexpr std::uint64_t kStep = 64 << 10;
    return held_.resize(bytes_ + kStep) ? Status() : resize_for(what_, budget_, held_, tag_, bytes_);
  }
  // So many of them were given back.
  void drop(std::uint64_t bytes) { bytes_ -= std::min(bytes, bytes_); }
  std::uint64_t bytes() const { return bytes_; }
  // Gives up what was reserved in advance and hands out the rest.
  Reservation finish() {
    if (bytes_ < held_.bytes()) held_.resize(bytes_);
    return std::exchange(held_, Reservation());
  }

  // Puts a value to the end of a vector, whose new memory is added before it is taken and whose old memory is
  // dropped.
  template <class T>
  Status push(std::vector<T>& to, T value) {
    if (to.size() == to.capacity()) {
      const std::size_t before = to.capacity(), after = std::max<std::size_t>(4, 2 * before);
      PENSTOCK_RETURN_IF_ERROR(add(after * sizeof(T)));
      to.reserve(after);
      drop(before * sizeof(T));
    }
    to.push_back(std::move(value));
    return {};
  }

 private:
  const std::string what_;
  MemoryBudget& budget_;
  MemoryTag tag_;
  Reservation held_;
  std::uint64_t bytes_ = 0;  // wanted; held_ has at least as many
};

// What a string allocates beside itself: short ones lie within.
inline std::uint64_t heap_bytes(std::string_view value) {
  return value.size() > std::string().capacity() ? value.size() + 1 : 0;
}

}  // namespace penstock
