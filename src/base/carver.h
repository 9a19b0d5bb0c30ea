// Divides one piece of memory into aligned parts. The function that hands the parts out also measures them,
// when its Carver has no memory, so that what is reserved and what is used cannot differ:
//
//   struct Parts { std::span<std::byte> page; std::span<std::uint64_t> ends; };
//   Parts parts(Carver& memory) const { return {memory.bytes(page_bytes_), memory.array<std::uint64_t>(256)};
//   }
//
//   Carver measured;                          // scratch_bytes()
//   parts(measured);                          //   -> measured.used()
//   Carver memory(scratch.bytes.data());      // decode()
//   const Parts mine = parts(memory);
//
// Thread contract: externally synchronised. Ownership: borrows the memory, which is aligned to kAlign and at
// least as long as what was measured.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/checked.h"
#include "base/types.h"

namespace penstock {

class Carver {
 public:
  // A cache line: no two parts share one, and every vector load of a kernel finds its part aligned.
  static constexpr ByteCount kAlign = 64;

  Carver() = default;  // measures only: the parts are empty
  explicit Carver(std::byte* memory) : memory_(memory) {}

  std::span<std::byte> bytes(ByteCount bytes) {
    std::byte* const begin = memory_ == nullptr ? nullptr : memory_ + used_;
    used_ = saturating_add(used_, bytes > kMost ? bytes : round_up(bytes, kAlign));
    return {begin, begin == nullptr ? 0 : bytes};
  }
  template <class T>
  std::span<T> array(std::uint64_t n) {
    static_assert(alignof(T) <= kAlign);
    const auto part = bytes(saturating_mul(n, sizeof(T)));
    return {reinterpret_cast<T*>(part.data()), part.size() / sizeof(T)};
  }
  // Bytes of all parts so far, each rounded up to kAlign. Sizes may come from a file: where they add up to
  // more than a number holds this is the largest one, which no budget grants.
  ByteCount used() const { return used_; }

 private:
  static constexpr ByteCount kMost = ~ByteCount{0} - kAlign;  // that can be rounded up
  std::byte* memory_ = nullptr;
  ByteCount used_ = 0;
};

}  // namespace penstock
