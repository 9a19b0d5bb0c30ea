// From a NumericType to a C++ type, and elements at any alignment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/load.h"
#include "base/types.h"
#include "batch/half.h"

namespace penstock::batch {

// Calls f(std::type_identity<T>{}) for the type's T; Half and BFloat stand for the 16-bit floats.
template <class F>
decltype(auto) visit_numeric(NumericType type, F&& f) {
  switch (type) {
    case NumericType::i8:
      return f(std::type_identity<std::int8_t>{});
    case NumericType::i16:
      return f(std::type_identity<std::int16_t>{});
    case NumericType::i32:
      return f(std::type_identity<std::int32_t>{});
    case NumericType::i64:
      return f(std::type_identity<std::int64_t>{});
    case NumericType::u8:
      return f(std::type_identity<std::uint8_t>{});
    case NumericType::u16:
      return f(std::type_identity<std::uint16_t>{});
    case NumericType::u32:
      return f(std::type_identity<std::uint32_t>{});
    case NumericType::u64:
      return f(std::type_identity<std::uint64_t>{});
    case NumericType::f16:
      return f(std::type_identity<Half>{});
    case NumericType::bf16:
      return f(std::type_identity<BFloat>{});
    case NumericType::f32:
      return f(std::type_identity<float>{});
    case NumericType::f64:
      break;
  }
  return f(std::type_identity<double>{});
}

using penstock::load;

// Element i of an array that may be unaligned, as load() has it.
template <class T>
void store(std::byte* p, std::size_t i, T value) {
  std::memcpy(p + i * sizeof(T), &value, sizeof(T));
}

}  // namespace penstock::batch
