// By way of int64 or double, which hold every value of the types that become wider (but for uint64 beyond
// int64, whose bits are kept): a few numbers at a time, on the stack. Numbers that keep their type, which is
// what nearly every entry does, are copied.
#include "source/widen.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "source/numbers.h"

namespace penstock {
namespace {

bool is_float(ArrayType type) {
  return type == ArrayType::f16 || type == ArrayType::bf16 || type == ArrayType::f32 ||
         type == ArrayType::f64;
}

bool is_unsigned(ArrayType type) {
  return type == ArrayType::u8 || type == ArrayType::u16 || type == ArrayType::u32 || type == ArrayType::u64;
}

// ArrayType begins with the same types in the same order.
NumericType numeric(ArrayType type) {
  static_assert(static_cast<int>(NumericType::i8) == static_cast<int>(ArrayType::i8));
  static_assert(static_cast<int>(NumericType::f64) == static_cast<int>(ArrayType::f64));
  return static_cast<NumericType>(type);
}

// Of an integer: the narrowest float that has as many bits.
ArrayType float_for(ArrayType type) {
  switch (item_bytes(type)) {
    case 1:
      return ArrayType::f16;
    case 2:
      return ArrayType::f32;
    default:
      return ArrayType::f64;
  }
}

ArrayType wider_float(ArrayType a, ArrayType b) {
  if (a == b) return a;
  // Neither of the two halves holds the other.
  const bool halves = item_bytes(a) == 2 && item_bytes(b) == 2;
  return halves ? ArrayType::f32 : item_bytes(a) > item_bytes(b) ? a : b;
}

std::optional<ArrayType> wider_integer(ArrayType a, ArrayType b) {
  const std::size_t wide_a = item_bytes(a), wide_b = item_bytes(b);
  if (is_unsigned(a) == is_unsigned(b)) return wide_a >= wide_b ? a : b;
  const std::size_t of_signed = is_unsigned(a) ? wide_b : wide_a;
  const std::size_t of_unsigned = is_unsigned(a) ? wide_a : wide_b;
  switch (std::max(of_signed, 2 * of_unsigned)) {
    case 2:
      return ArrayType::i16;
    case 4:
      return ArrayType::i32;
    case 8:
      return ArrayType::i64;
    default:
      return std::nullopt;
  }
}

// A few numbers at a time, on the stack.
constexpr std::size_t kAtOnce = 64;

template <class T>
void store_integers(std::span<const std::int64_t> values, std::byte* out) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto value = static_cast<T>(values[i]);
    std::memcpy(out + i * sizeof(T), &value, sizeof(T));
  }
}

void store(std::span<const std::int64_t> values, ArrayType to, std::byte* out) {
  switch (item_bytes(to)) {  // signed and unsigned have the same bits
    case 1:
      return store_integers<std::int8_t>(values, out);
    case 2:
      return store_integers<std::int16_t>(values, out);
    case 4:
      return store_integers<std::int32_t>(values, out);
    default:
      return store_integers<std::int64_t>(values, out);
  }
}

// Doubles that are numbers of `to`.
void store(std::span<const double> values, ArrayType to, std::byte* out) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (to == ArrayType::f64) {
      std::memcpy(out + i * sizeof(double), &values[i], sizeof(double));
    } else if (to == ArrayType::f32) {
      const auto value = static_cast<float>(values[i]);
      std::memcpy(out + i * sizeof(float), &value, sizeof(float));
    } else {
      const std::uint16_t value = float_to_half(static_cast<float>(values[i]));
      std::memcpy(out + i * sizeof(value), &value, sizeof(value));
    }
  }
}

std::size_t widen_some(ArrayType from, const std::byte* in, std::size_t n, ArrayType to, std::byte* out) {
  std::array<std::int64_t, kAtOnce> integers;
  std::array<double, kAtOnce> doubles;
  if (!is_float(from)) {
    to_int64(from == ArrayType::boolean ? NumericType::u8 : numeric(from), in, {integers.data(), n});
    if (from == ArrayType::boolean) {
      for (std::size_t i = 0; i < n; ++i) integers[i] = integers[i] != 0 ? 1 : 0;
    }
    if (!is_float(to)) {
      store(std::span<const std::int64_t>(integers.data(), n), to, out);
      return n;
    }
    for (std::size_t i = 0; i < n; ++i) {
      const bool large = from == ArrayType::u64;
      if (item_bytes(from) == 8 && !exact_in_double(integers[i], large)) return i;
      doubles[i] = large ? static_cast<double>(static_cast<std::uint64_t>(integers[i]))
                         : static_cast<double>(integers[i]);
    }
  } else {
    to_double(numeric(from), in, {doubles.data(), n});
  }
  store(std::span<const double>(doubles.data(), n), to, out);
  return n;
}

}  // namespace

std::size_t item_bytes(ArrayType type) {
  return type == ArrayType::boolean ? 1 : numeric_size(numeric(type));
}

const char* type_name(ArrayType type) {
  return type == ArrayType::boolean ? "bool" : numeric_name(numeric(type));
}

ArrayType array_type(NumericType type) { return static_cast<ArrayType>(type); }

std::optional<ArrayType> wider_type(ArrayType a, ArrayType b) {
  if (a == b || b == ArrayType::boolean) return a;
  if (a == ArrayType::boolean) return b;
  if (!is_float(a) && !is_float(b)) return wider_integer(a, b);
  return wider_float(is_float(a) ? a : float_for(a), is_float(b) ? b : float_for(b));
}

std::size_t widen(ArrayType from, const std::byte* in, std::size_t n, ArrayType to, std::byte* out) {
  if (from == to && from != ArrayType::boolean) {
    if (n > 0) std::memcpy(out, in, n * item_bytes(to));
    return n;
  }
  if (from == to) {
    for (std::size_t i = 0; i < n; ++i) out[i] = in[i] != std::byte{0} ? std::byte{1} : std::byte{0};
    return n;
  }
  for (std::size_t done = 0; done < n; done += kAtOnce) {
    const std::size_t some = std::min(kAtOnce, n - done);
    const std::size_t good =
        widen_some(from, in + done * item_bytes(from), some, to, out + done * item_bytes(to));
    if (good < some) return done + good;
  }
  return n;
}

}  // namespace penstock
