// IEEE half precision and bfloat16 as bits, and their conversions: round to nearest even, bit for bit what
// numpy does for float16 (NaN payloads included).
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

namespace penstock::batch {

struct Half {
  std::uint16_t bits;
};
struct BFloat {
  std::uint16_t bits;
};

// One algorithm for float and double. Fraction: stored bits of the significand.
template <class F>
struct FloatLayout;
template <>
struct FloatLayout<float> {
  using Bits = std::uint32_t;
  static constexpr int kFraction = 23;
  static constexpr int kBias = 127;
};
template <>
struct FloatLayout<double> {
  using Bits = std::uint64_t;
  static constexpr int kFraction = 52;
  static constexpr int kBias = 1023;
};

template <class F>
Half to_half(F value) {
  using L = FloatLayout<F>;
  using Bits = typename L::Bits;
  constexpr int kShift = L::kFraction - 10;
  constexpr int kWidth = static_cast<int>(sizeof(F) * 8);
  constexpr Bits kInfinity = static_cast<Bits>(2 * L::kBias + 1) << L::kFraction;
  constexpr Bits kOverflow = static_cast<Bits>(L::kBias + 16) << L::kFraction;  // 65536
  constexpr Bits kNormal = static_cast<Bits>(L::kBias - 14)
                           << L::kFraction;  // 2^-14, the smallest normal half
  // The sum with 2^(kFraction - 24) has 2^-24, the unit of subnormal halves, as its last bit: the addition
  // rounds.
  constexpr Bits kMagic = static_cast<Bits>(L::kBias + L::kFraction - 24) << L::kFraction;
  const Bits all = std::bit_cast<Bits>(value);
  const auto sign = static_cast<std::uint16_t>(all >> (kWidth - 16) & 0x8000);
  const Bits u = all & ~(Bits{1} << (kWidth - 1));
  if (u > kInfinity) {
    const auto payload = static_cast<std::uint16_t>((u & ((Bits{1} << L::kFraction) - 1)) >> kShift);
    return {static_cast<std::uint16_t>(sign | 0x7c00 | (payload == 0 ? 1 : payload))};
  }
  if (u >= kOverflow) return {static_cast<std::uint16_t>(sign | 0x7c00)};
  if (u < kNormal) {
    const F sum = std::bit_cast<F>(u) + std::bit_cast<F>(kMagic);
    return {static_cast<std::uint16_t>(sign | (std::bit_cast<Bits>(sum) - kMagic))};
  }
  const Bits odd = u >> kShift & 1;
  const Bits rebased = u - (static_cast<Bits>(L::kBias - 15) << L::kFraction);
  return {static_cast<std::uint16_t>(sign | (rebased + (Bits{1} << (kShift - 1)) - 1 + odd) >> kShift)};
}

template <class F>
F from_half(Half half) {
  using L = FloatLayout<F>;
  using Bits = typename L::Bits;
  constexpr int kShift = L::kFraction - 10;
  constexpr int kWidth = static_cast<int>(sizeof(F) * 8);
  const Bits sign = static_cast<Bits>(half.bits & 0x8000) << (kWidth - 16);
  const Bits exponent = half.bits >> 10 & 0x1f;
  const Bits fraction = half.bits & 0x3ff;
  Bits u = fraction << kShift;
  if (exponent == 0x1f) {
    u |= static_cast<Bits>(2 * L::kBias + 1) << L::kFraction;
  } else if (exponent != 0) {
    u |= (exponent + (L::kBias - 15)) << L::kFraction;
  } else {
    u = std::bit_cast<Bits>(static_cast<F>(static_cast<int>(fraction)) * static_cast<F>(0x1p-24));
  }
  return std::bit_cast<F>(u | sign);
}

inline BFloat to_bfloat(float value) {
  const auto u = std::bit_cast<std::uint32_t>(value);
  if ((u & 0x7fffffff) > 0x7f800000) return {static_cast<std::uint16_t>(u >> 16 | 0x40)};  // stays NaN
  return {static_cast<std::uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16)};
}

inline float from_bfloat(BFloat value) { return std::bit_cast<float>(std::uint32_t{value.bits} << 16); }

}  // namespace penstock::batch
