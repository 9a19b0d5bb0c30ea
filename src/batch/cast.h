// One element from one type to another, as numpy's astype does on x86-64, and whether it is still the same
// number.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "batch/half.h"

namespace penstock::batch {

// What cvttss2si and cvttsd2si leave: the truncated number, or the smallest integer for NaN and out of range.
template <class Int, class F>
Int truncate_x86(F value) {
  static_assert(std::is_same_v<Int, std::int32_t> || std::is_same_v<Int, std::int64_t>);
  constexpr F kEnd = std::is_same_v<Int, std::int32_t> ? static_cast<F>(0x1p31) : static_cast<F>(0x1p63);
  // In double, -2147483648.9 still truncates into range.
  const bool above =
      std::is_same_v<Int, std::int32_t> ? static_cast<double>(value) > -2147483649.0 : value >= -kEnd;
  return above && value < kEnd ? static_cast<Int>(value) : std::numeric_limits<Int>::min();
}

// Float to integer. numpy goes through 32 bits for the small types and through 64 for uint32 (its vectorised
// uint32 loop differs for numbers out of range; this is the scalar one), and splits uint64 at 2^63.
template <class To, class F>
To truncate_to(F value) {
  if constexpr (sizeof(To) < 4 || std::is_same_v<To, std::int32_t>) {
    return static_cast<To>(truncate_x86<std::int32_t>(value));
  } else if constexpr (!std::is_same_v<To, std::uint64_t>) {
    return static_cast<To>(truncate_x86<std::int64_t>(value));
  } else {
    constexpr F kHalf = static_cast<F>(0x1p63);
    if (!(value >= kHalf)) return static_cast<To>(truncate_x86<std::int64_t>(value));
    return static_cast<To>(truncate_x86<std::int64_t>(value - kHalf)) ^ (std::uint64_t{1} << 63);
  }
}

// A 16-bit float as float; every other type as it is.
template <class T>
auto widened(T value) {
  if constexpr (std::is_same_v<T, Half>) {
    return from_half<float>(value);
  } else if constexpr (std::is_same_v<T, BFloat>) {
    return from_bfloat(value);
  } else {
    return value;
  }
}

template <class To, class From>
To cast(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<From, Half> && std::is_same_v<To, double>) {
    return from_half<double>(value);
  } else if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, BFloat>) {
    return cast<To>(widened(value));
  } else if constexpr (std::is_same_v<To, Half>) {
    if constexpr (std::is_same_v<From, double>) return to_half(value);
    return to_half(static_cast<float>(value));  // integers too: rounds twice, as numpy
  } else if constexpr (std::is_same_v<To, BFloat>) {
    return to_bfloat(static_cast<float>(value));  // rounds twice, as torch
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return truncate_to<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

// True when the two are the same number, or both NaN. `out` is what cast gave for `in`.
template <class To, class From>
bool same_number(From in, To out) {
  const auto a = widened(in);
  const auto b = widened(out);
  using A = std::remove_const_t<decltype(a)>;
  using B = std::remove_const_t<decltype(b)>;
  // The numbers an integer type holds, as a half-open range that is exact in every float.
  constexpr auto in_range = []<class Int>(auto value, std::type_identity<Int>) {
    using F = decltype(value);
    constexpr F kEnd = static_cast<F>(std::numeric_limits<Int>::max() / 2 + 1) * 2;
    return value >= static_cast<F>(std::numeric_limits<Int>::min()) && value < kEnd;
  };
  if constexpr (std::is_integral_v<A> && std::is_integral_v<B>) {
    return std::cmp_equal(a, b);
  } else if constexpr (std::is_integral_v<B>) {
    return in_range(a, std::type_identity<B>{}) && static_cast<A>(b) == a;
  } else if constexpr (std::is_integral_v<A>) {
    return in_range(b, std::type_identity<A>{}) && static_cast<A>(b) == a;
  } else {
    const auto x = static_cast<double>(a);
    const auto y = static_cast<double>(b);
    return x == y || (x != x && y != y);
  }
}

// The sum of two elements in their own type: integers wrap, 16-bit floats add as float.
template <class T>
T sum(T a, T b) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat>) {
    return cast<T>(widened(a) + widened(b));
  } else if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b)));
  } else {
    return a + b;
  }
}

}  // namespace penstock::batch
