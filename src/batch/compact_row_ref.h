// The plain loops behind compact_row.h: what the SIMD kernels are tested against, and what runs where there
// is none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/types.h"
#include "batch/cast.h"
#include "batch/compact_row.h"
#include "batch/numeric.h"

namespace penstock::batch::ref {

template <class Id>
NarrowResult narrow_ids(const std::byte* in, NumericType type, std::size_t n, std::uint64_t n_cols, Id* out) {
  return visit_numeric(type, [&]<class T>(std::type_identity<T>) {
    NarrowResult result;
    if constexpr (std::is_integral_v<T>) {
      T last{};
      for (std::size_t i = 0; i < n; ++i) {
        const T id = load<T>(in, i);
        if (std::cmp_less(id, 0) || std::cmp_greater_equal(id, n_cols)) {
          if (result.in_range) result.bad = i;
          result.in_range = false;
        }
        if (i > 0 && id <= last) result.ascending = false;
        last = id;
        out[i] = static_cast<Id>(id);
      }
    } else {
      result.in_range = n == 0;  // ids are integers
    }
    return result;
  });
}

inline std::size_t convert_values(const std::byte* in, NumericType in_type, std::size_t n, std::byte* out,
                                  NumericType out_type) {
  return visit_numeric(in_type, [&]<class From>(std::type_identity<From>) {
    return visit_numeric(out_type, [&]<class To>(std::type_identity<To>) {
      std::size_t inexact = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const From value = load<From>(in, i);
        const To converted = cast<To>(value);
        if constexpr (!std::is_same_v<From, To>) inexact += same_number(value, converted) ? 0 : 1;
        store(out, i, converted);
      }
      return inexact;
    });
  });
}

// True when the value is an unsigned integer up to `most` whose way back gives the same bits.
template <class T>
bool fits(T value, std::uint32_t most) {
  const auto wide = widened(value);
  using W = std::remove_const_t<decltype(wide)>;
  if constexpr (std::is_integral_v<W>) {
    return std::cmp_greater_equal(wide, 0) && std::cmp_less_equal(wide, most);
  } else {
    if (!(wide >= 0 && wide <= static_cast<W>(most))) return false;
    const T back = cast<T>(static_cast<std::uint16_t>(wide));
    return std::memcmp(&back, &value, sizeof(T)) == 0;
  }
}

template <class T>
ValueClass value_class(const std::byte* in, std::size_t n) {
  ValueClass cls = ValueClass::u8;
  for (std::size_t i = 0; i < n; ++i) {
    const T value = load<T>(in, i);
    if (fits(value, 0xff)) continue;
    if (!fits(value, 0xffff)) return ValueClass::wide;
    cls = ValueClass::u16;
  }
  return cls;
}

inline ValueClass compact_values(const std::byte* in, NumericType type, std::size_t n, std::byte* out) {
  return visit_numeric(type, [&]<class T>(std::type_identity<T>) {
    const ValueClass cls = value_class<T>(in, n);
    // A class as wide as the type saves nothing, and a wider one would not fit.
    if (value_class_bytes(cls, type) >= sizeof(T)) {
      if (n > 0) std::memcpy(out, in, n * sizeof(T));
      return ValueClass::wide;
    }
    for (std::size_t i = 0; i < n; ++i) {
      const auto value = cast<std::uint16_t>(load<T>(in, i));
      if (cls == ValueClass::u8) {
        store(out, i, static_cast<std::uint8_t>(value));
      } else {
        store(out, i, value);
      }
    }
    return cls;
  });
}

inline void expand_values(const std::byte* in, ValueClass cls, std::size_t n, std::byte* out,
                          NumericType type) {
  if (cls == ValueClass::wide) {
    if (n > 0) std::memcpy(out, in, n * numeric_size(type));
    return;
  }
  visit_numeric(type, [&]<class T>(std::type_identity<T>) {
    for (std::size_t i = 0; i < n; ++i) {
      store(out, i,
            cls == ValueClass::u8 ? cast<T>(load<std::uint8_t>(in, i)) : cast<T>(load<std::uint16_t>(in, i)));
    }
  });
}

template <class From, class To>
void expand_ids(const From* in, std::size_t n, To* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<To>(in[i]);
}

}  // namespace penstock::batch::ref
