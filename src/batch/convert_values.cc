// Conversions between number types, with the count of those that changed a number, such as 2^24 + 1 to f32:
// the loader shows it as values_rounded. Counting must not slow down the common case, in which nothing
// changes, so most kernels only notice whether anything might have, and count in a second pass.
//
// What is not here (f16 to f64, u8 to i16, ...) is rare, and goes through the plain loop of
// compact_row_ref.h.
//
// Targets: Note [One source, many targets] in simd.cc.

#include <cstring>
#include <type_traits>

#include "batch/compact_row.h"
#include "batch/compact_row_ref.h"
#include "batch/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "batch/convert_values.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace penstock::batch::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The tail of every kernel, which is too short for a vector. It says what a conversion is: cast.h.
template <class From, class To>
HWY_INLINE std::size_t convert_plain(const std::byte* in, std::size_t from, std::size_t n, std::byte* out) {
  std::size_t inexact = 0;
  for (std::size_t i = from; i < n; ++i) {
    const From value = load<From>(in, i);
    const To converted = cast<To>(value);
    inexact += same_number(value, converted) ? 0 : 1;
    store(out, i, converted);
  }
  return inexact;
}

// Integers to float, in a loop that the compiler vectorises; the rare numbers above 2^24 are counted in a
// second one.
template <class Int>
HWY_INLINE std::size_t integers_f32(const std::byte* HWY_RESTRICT in, std::size_t n,
                                    std::byte* HWY_RESTRICT out) {
  using U = std::make_unsigned_t<Int>;
  bool large = false;
  for (std::size_t i = 0; i < n; ++i) {
    const Int value = load<Int>(in, i);
    if constexpr (sizeof(Int) >= 4) {
      constexpr U kExact = U{1} << 24;
      // One unsigned comparison for both ends: a number in [-2^24, 2^24], moved up by 2^24, lies in [0,
      // 2^25], and everything else wraps around to something larger.
      large |= static_cast<U>(static_cast<U>(value) + (std::is_signed_v<Int> ? kExact : U{0})) >
               (std::is_signed_v<Int> ? 2 * kExact : kExact);
    }
    store(out, i, static_cast<float>(value));
  }
  return large ? convert_plain<Int, float>(in, 0, n, out) : 0;
}
std::size_t i8_f32(const std::byte* in, std::size_t n, std::byte* out) {
  return integers_f32<std::int8_t>(in, n, out);
}
std::size_t i16_f32(const std::byte* in, std::size_t n, std::byte* out) {
  return integers_f32<std::int16_t>(in, n, out);
}
std::size_t i64_f32(const std::byte* in, std::size_t n, std::byte* out) {
  return integers_f32<std::int64_t>(in, n, out);
}
std::size_t u8_f32(const std::byte* in, std::size_t n, std::byte* out) {
  return integers_f32<std::uint8_t>(in, n, out);
}
std::size_t u16_f32(const std::byte* in, std::size_t n, std::byte* out) {
  return integers_f32<std::uint16_t>(in, n, out);
}
std::size_t u32_f32(const std::byte* in, std::size_t n, std::byte* out) {
  return integers_f32<std::uint32_t>(in, n, out);
}
std::size_t u64_f32(const std::byte* in, std::size_t n, std::byte* out) {
  return integers_f32<std::uint64_t>(in, n, out);
}

#if HWY_TARGET == HWY_SCALAR

std::size_t f64_f32(const std::byte* in, std::size_t n, std::byte* out) {
  return convert_plain<double, float>(in, 0, n, out);
}
std::size_t i32_f32(const std::byte* in, std::size_t n, std::byte* out) {
  return convert_plain<std::int32_t, float>(in, 0, n, out);
}
std::size_t f32_f16(const std::byte* in, std::size_t n, std::byte* out) {
  return convert_plain<float, Half>(in, 0, n, out);
}
std::size_t f32_bf16(const std::byte* in, std::size_t n, std::byte* out) {
  return convert_plain<float, BFloat>(in, 0, n, out);
}

#else

// Through bytes, because rows lie in files and batches at any address, and a pointer to float may not.
template <class D>
HWY_INLINE hn::Vec<D> load_any(D d, const std::byte* in) {
  const hn::Repartition<std::uint8_t, D> d8;
  return hn::BitCast(d, hn::LoadU(d8, reinterpret_cast<const std::uint8_t*>(in)));
}
template <class D>
HWY_INLINE void store_any(hn::Vec<D> v, D /*d*/, std::byte* out) {
  const hn::Repartition<std::uint8_t, D> d8;
  hn::StoreU(hn::BitCast(d8, v), d8, reinterpret_cast<std::uint8_t*>(out));
}

// Counts in the same pass: normalised values that were stored as doubles are nearly all inexact, and a second
// pass would run for every row of them.
std::size_t f64_f32(const std::byte* HWY_RESTRICT in, std::size_t n, std::byte* HWY_RESTRICT out) {
  std::size_t inexact = 0;
  std::size_t i = 0;
#if HWY_TARGET != HWY_EMU128  // whose DemoteTo makes the largest float of what is beyond it, not infinity
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> df;
  const std::size_t lanes = hn::Lanes(d);
  for (; i + lanes <= n; i += lanes) {
    const auto v = load_any(d, in + 8 * i);
    const auto f = hn::DemoteTo(df, v);
    store_any(f, df, out + 4 * i);
    // NaN stays NaN: it differs from itself, and does not count.
    inexact += hn::CountTrue(d, hn::And(hn::Ne(hn::PromoteTo(d, f), v), hn::Eq(v, v)));
  }
#endif
  return inexact + convert_plain<double, float>(in, i, n, out);
}

std::size_t i32_f32(const std::byte* HWY_RESTRICT in, std::size_t n, std::byte* HWY_RESTRICT out) {
  const hn::ScalableTag<std::int32_t> d;
  const hn::ScalableTag<float> df;
  const std::size_t lanes = hn::Lanes(d);
  auto most = hn::Zero(d);
  auto least = hn::Zero(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto v = load_any(d, in + 4 * i);
    most = hn::Max(most, v);
    least = hn::Min(least, v);
    store_any(hn::ConvertTo(df, v), df, out + 4 * i);
  }
  // Everything up to 2^24 is exact; counting is left to the plain loop, for data that has larger numbers.
  constexpr std::int32_t kExact = 1 << 24;
  const bool large =
      hn::GetLane(hn::MaxOfLanes(d, most)) > kExact || hn::GetLane(hn::MinOfLanes(d, least)) < -kExact;
  return convert_plain<std::int32_t, float>(in, large ? 0 : i, n, out);
}

std::size_t f32_f16(const std::byte* HWY_RESTRICT in, std::size_t n, std::byte* HWY_RESTRICT out) {
  std::size_t inexact = 0;
  std::size_t i = 0;
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2  // with F16C
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> d16;
  const std::size_t lanes = hn::Lanes(d);
  for (; i + lanes <= n; i += lanes) {
    const auto v = load_any(d, in + 4 * i);
    // The processor makes every NaN a quiet one, numpy does not: those vectors take the plain loop.
    if (HWY_UNLIKELY(!hn::AllTrue(d, hn::Eq(v, v)))) {
      inexact += convert_plain<float, Half>(in, i, i + lanes, out);
      continue;
    }
    const auto h = hn::DemoteTo(d16, v);
    store_any(h, d16, out + 2 * i);
    inexact += hn::CountTrue(d, hn::Ne(hn::PromoteTo(d, h), v));
  }
#endif
  return inexact + convert_plain<float, Half>(in, i, n, out);
}

// To nearest, ties to even, in integers: add a half of what is dropped, less one, and one more if what is
// kept is odd. Two numbers of which exactly a half is dropped:
//
//     0x3F80 8000  even  + 0x7FFF      = 0x3F80 FFFF  ->  0x3F80
//     0x3F81 8000  odd   + 0x7FFF + 1  = 0x3F82 0000  ->  0x3F82
//
// A carry runs into the exponent, which is right: the number after the largest of an exponent is the first of
// the next, and after the largest of all comes infinity. A NaN must not carry (0x7FFF FFFF would become a
// negative zero), so it keeps its upper half and gets its quiet bit, lest nothing be left of its fraction.
std::size_t f32_bf16(const std::byte* HWY_RESTRICT in, std::size_t n, std::byte* HWY_RESTRICT out) {
  const hn::ScalableTag<float> df;
  const hn::ScalableTag<std::uint32_t> du;
  const hn::RebindToSigned<decltype(du)> di;
  const hn::Rebind<std::uint16_t, decltype(du)> d16;
  const std::size_t lanes = hn::Lanes(du);
  std::size_t inexact = 0;
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto u = load_any(du, in + 4 * i);
    const auto f = hn::BitCast(df, u);
    const auto high = hn::ShiftRight<16>(u);
    const auto odd = hn::And(high, hn::Set(du, 1));
    const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(u, hn::Set(du, 0x7fff)), odd));
    const auto number = hn::RebindMask(du, hn::Eq(f, f));
    const auto result = hn::IfThenElse(number, rounded, hn::Or(high, hn::Set(du, 0x40)));
    store_any(hn::DemoteTo(d16, hn::BitCast(di, result)), d16, out + 2 * i);
    const auto dropped = hn::Ne(hn::And(u, hn::Set(du, 0xffff)), hn::Zero(du));
    inexact += hn::CountTrue(du, hn::And(dropped, number));
  }
  return inexact + convert_plain<float, BFloat>(in, i, n, out);
}

#endif  // HWY_TARGET == HWY_SCALAR

}  // namespace penstock::batch::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace penstock::batch {

HWY_EXPORT(f64_f32);
HWY_EXPORT(i8_f32);
HWY_EXPORT(i16_f32);
HWY_EXPORT(i32_f32);
HWY_EXPORT(i64_f32);
HWY_EXPORT(u8_f32);
HWY_EXPORT(u16_f32);
HWY_EXPORT(u32_f32);
HWY_EXPORT(u64_f32);
HWY_EXPORT(f32_f16);
HWY_EXPORT(f32_bf16);

namespace {

// The three float types below are left to the plain loop: half floats are widened exactly, so nothing is
// counted.
std::size_t to_f32(const std::byte* in, NumericType in_type, std::size_t n, std::byte* out) {
  switch (in_type) {
    case NumericType::f64:
      return HWY_DYNAMIC_DISPATCH(f64_f32)(in, n, out);
    case NumericType::i8:
      return HWY_DYNAMIC_DISPATCH(i8_f32)(in, n, out);
    case NumericType::i16:
      return HWY_DYNAMIC_DISPATCH(i16_f32)(in, n, out);
    case NumericType::i32:
      return HWY_DYNAMIC_DISPATCH(i32_f32)(in, n, out);
    case NumericType::i64:
      return HWY_DYNAMIC_DISPATCH(i64_f32)(in, n, out);
    case NumericType::u8:
      return HWY_DYNAMIC_DISPATCH(u8_f32)(in, n, out);
    case NumericType::u16:
      return HWY_DYNAMIC_DISPATCH(u16_f32)(in, n, out);
    case NumericType::u32:
      return HWY_DYNAMIC_DISPATCH(u32_f32)(in, n, out);
    case NumericType::u64:
      return HWY_DYNAMIC_DISPATCH(u64_f32)(in, n, out);
    case NumericType::f16:
    case NumericType::bf16:
    case NumericType::f32:
      break;
  }
  return ref::convert_values(in, in_type, n, out, NumericType::f32);
}

}  // namespace

std::size_t convert_values(const std::byte* in, NumericType in_type, std::size_t n, std::byte* out,
                           NumericType out_type) {
  if (in_type == out_type) {
    if (n > 0 && in != out) std::memcpy(out, in, n * numeric_size(in_type));
    return 0;
  }
  if (!internal::scalar_forced()) {
    if (out_type == NumericType::f32) return to_f32(in, in_type, n, out);
    if (in_type == NumericType::f32 && out_type == NumericType::f16)
      return HWY_DYNAMIC_DISPATCH(f32_f16)(in, n, out);
    if (in_type == NumericType::f32 && out_type == NumericType::bf16)
      return HWY_DYNAMIC_DISPATCH(f32_bf16)(in, n, out);
  }
  return ref::convert_values(in, in_type, n, out, out_type);
}

}  // namespace penstock::batch
#endif  // HWY_ONCE
