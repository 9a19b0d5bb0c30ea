// Counts are small whole numbers that files store as 32-bit floats. In the window a row keeps them as
// bytes, if that loses nothing:
//
//     f32  1.0  3.0  255.0    ->  u8   1  3  255      4 bytes a value become 1
//     f32  1.0  3.0  256.0    ->  u16  1  3  256
//     f32  1.0  0.5           ->  as they are
//
// The kernel does not look first and pack afterwards: it packs as if all was well, and collects
// in the same pass whether it was. Nearly every row of a count matrix is well, and the others pay
// for a second pass or a copy.
//
// Targets: Note [One source, many targets] in simd.cc.

#include <cstring>
#include <limits>

#include "batch/compact_row.h"
#include "batch/compact_row_ref.h"
#include "batch/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "batch/compact_values.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace penstock::batch::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::uint32_t kNoClass = 0xffffffff;

// Each kernel packs and returns the OR of all packed integers, or kNoClass when a value is not an integer of
// 0 to 65,535 or does not come back bit for bit. The packed output counts only when the OR fits it: one
// optimistic pass.

// Integers: two's complement makes negative values large.
template <class In, class Out>
HWY_INLINE std::uint32_t pack_integers(const std::byte* HWY_RESTRICT in, std::size_t n,
                                       std::byte* HWY_RESTRICT out) {
  // Bytes of the input may be at any alignment, hence load() and store(). Compilers see through them and make
  // vectors.
  In all = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const In value = load<In>(in, i);
    all |= value;
    store(out, i, static_cast<Out>(value));
  }
  return all > 0xffff ? kNoClass : static_cast<std::uint32_t>(all);
}

template <class F, class Bits>
struct Magic {
  // Adding 2^fraction to a number in [0, 2^fraction) leaves its nearest integer in the low bits; subtracting
  // it again gives the number itself only if it was an integer. -0.0 comes back as 0.0 and is caught by its
  // bits; negative numbers, infinities and NaN leave an integer far above 65,535. Example in f32, whose magic
  // number is 2^23 = 0x4B000000: 3.0 + 2^23 is 0x4B000003, and 0.5 + 2^23 is rounded to 0x4B000000, which
  // gives 0.0 back. Unlike a conversion to an integer it is defined for every float, infinity and NaN
  // included, and it needs nothing that a target lacks.
  static constexpr F value = sizeof(F) == 4 ? static_cast<F>(0x1p23) : static_cast<F>(0x1p52);
  static constexpr Bits bits =
      sizeof(F) == 4 ? static_cast<Bits>(0x4B000000) : static_cast<Bits>(0x4330000000000000);
};

// T is float, double, or a 16-bit float that is looked at as a float: widening keeps values apart. Kept free
// of branches, so that the compiler can turn the loop into vectors: differences and integers are or-ed
// together, and looked at once, at the end.
template <class T, class Out>
HWY_INLINE std::uint32_t pack_floats_plain(const std::byte* HWY_RESTRICT in, std::size_t from, std::size_t n,
                                           std::byte* HWY_RESTRICT out) {
  using F = decltype(widened(T{}));
  using Bits = typename FloatLayout<F>::Bits;
  using M = Magic<F, Bits>;
  Bits all = 0;
  Bits differ = 0;
  for (std::size_t i = from; i < n; ++i) {
    const F value = widened(load<T>(in, i));
    const F sum = value + M::value;
    const Bits integer = std::bit_cast<Bits>(sum) - M::bits;
    differ |= std::bit_cast<Bits>(sum - M::value) ^ std::bit_cast<Bits>(value);
    all |= integer;
    store(out, i, static_cast<Out>(integer));
  }
  return differ != 0 || all > 0xffff ? kNoClass : static_cast<std::uint32_t>(all);
}

#if HWY_TARGET == HWY_SCALAR

template <class T, class Out>
std::uint32_t pack_floats(const std::byte* in, std::size_t n, std::byte* out) {
  return pack_floats_plain<T, Out>(in, 0, n, out);
}

#else

template <class D>
HWY_INLINE hn::Vec<D> load_bits(D /*du*/, const std::byte* in, std::size_t i, std::type_identity<float>) {
  const hn::Repartition<std::uint8_t, D> d8;
  return hn::BitCast(D(), hn::LoadU(d8, reinterpret_cast<const std::uint8_t*>(in + 4 * i)));
}
// A bfloat16 is the upper half of a float.
template <class D>
HWY_INLINE hn::Vec<D> load_bits(D du, const std::byte* in, std::size_t i, std::type_identity<BFloat>) {
  const hn::Rebind<std::uint16_t, D> d16;
  const hn::Repartition<std::uint8_t, decltype(d16)> d8;
  const auto half = hn::BitCast(d16, hn::LoadU(d8, reinterpret_cast<const std::uint8_t*>(in + 2 * i)));
  return hn::ShiftLeft<16>(hn::PromoteTo(du, half));
}

// T is float or BFloat.
template <class T, class Out>
HWY_INLINE std::uint32_t pack_floats(const std::byte* HWY_RESTRICT in, std::size_t n,
                                     std::byte* HWY_RESTRICT out) {
  using M = Magic<float, std::uint32_t>;
  const hn::ScalableTag<float> df;
  const hn::ScalableTag<std::uint32_t> du;
  const hn::Rebind<Out, decltype(df)> dout;
  const std::size_t lanes = hn::Lanes(df);
  const auto magic = hn::Set(df, M::value);
  const auto magic_bits = hn::Set(du, M::bits);
  auto all = hn::Zero(du);
  auto differ = hn::Zero(du);
  auto* to = reinterpret_cast<Out*>(out);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = load_bits(du, in, i, std::type_identity<T>{});
    const auto sum = hn::Add(hn::BitCast(df, bits), magic);
    const auto integer = hn::Sub(hn::BitCast(du, sum), magic_bits);
    differ = hn::Or(differ, hn::Xor(hn::BitCast(du, hn::Sub(sum, magic)), bits));
    all = hn::Or(all, integer);
    // DemoteTo saturates where the plain loop truncates. It makes no difference: of numbers that do not fit
    // the output is thrown away.
    hn::StoreU(hn::DemoteTo(dout, hn::BitCast(hn::RebindToSigned<decltype(du)>(), integer)), dout, to + i);
  }
  const std::uint32_t tail = pack_floats_plain<T, Out>(in, i, n, out);
  // All lanes of `all` or-ed: the largest lane is enough to know the class.
  const std::uint32_t most = hn::GetLane(hn::MaxOfLanes(du, all));
  if (tail == kNoClass || most > 0xffff || !hn::AllTrue(du, hn::Eq(differ, hn::Zero(du)))) return kNoClass;
  return most | tail;
}

#endif  // HWY_TARGET == HWY_SCALAR

template <class Out>
HWY_INLINE std::uint32_t pack(const std::byte* in, NumericType type, std::size_t n, std::byte* out) {
  switch (type) {
    case NumericType::f32:
      return pack_floats<float, Out>(in, n, out);
    case NumericType::bf16:
      return pack_floats<BFloat, Out>(in, n, out);
    case NumericType::f16:
      return pack_floats_plain<Half, Out>(in, 0, n, out);
    case NumericType::f64:
      return pack_floats_plain<double, Out>(in, 0, n, out);
    case NumericType::i16:
    case NumericType::u16:
      return pack_integers<std::uint16_t, Out>(in, n, out);
    case NumericType::i32:
    case NumericType::u32:
      return pack_integers<std::uint32_t, Out>(in, n, out);
    case NumericType::i64:
    case NumericType::u64:
      return pack_integers<std::uint64_t, Out>(in, n, out);
    case NumericType::i8:
    case NumericType::u8:
      break;  // as narrow as can be
  }
  return kNoClass;
}

std::uint32_t pack_8(const std::byte* in, NumericType type, std::size_t n, std::byte* out) {
  return pack<std::uint8_t>(in, type, n, out);
}
std::uint32_t pack_16(const std::byte* in, NumericType type, std::size_t n, std::byte* out) {
  return pack<std::uint16_t>(in, type, n, out);
}

}  // namespace penstock::batch::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace penstock::batch {

HWY_EXPORT(pack_8);
HWY_EXPORT(pack_16);

// Bytes first, because most rows are. The result says whether 16 bits would do, so that the second pass runs
// only where it succeeds, and a third possibility, to copy, needs no arithmetic.
ValueClass compact_values(const std::byte* in, NumericType type, std::size_t n, std::byte* out) {
  if (internal::scalar_forced()) return ref::compact_values(in, type, n, out);
  const std::size_t size = numeric_size(type);
  if (size > 1) {
    const std::uint32_t all = HWY_DYNAMIC_DISPATCH(pack_8)(in, type, n, out);
    if (all <= 0xff) return ValueClass::u8;
    if (all <= 0xffff && size > 2) {
      HWY_DYNAMIC_DISPATCH(pack_16)(in, type, n, out);
      return ValueClass::u16;
    }
  }
  if (n > 0) std::memcpy(out, in, n * size);
  return ValueClass::wide;
}

}  // namespace penstock::batch
#endif  // HWY_ONCE
