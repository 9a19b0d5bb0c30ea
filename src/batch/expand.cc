// From the window to a batch: bytes to floats, 16-bit ids to 32 or 64 bits. It runs once for every entry that
// is delivered, and memory is what limits it, so the kernels differ in how they write.
//
// A batch that is larger than the caches is written past them. An ordinary store reads the line first,
// which costs as much as the write, and pushes out what other threads still need; a streamed store of a
// whole line does neither. Half a line is worse than either: the processor's write buffer goes out in
// pieces. Hence the three parts of the streaming loops: single elements up to the first line, whole lines,
// single elements for what is left.
//
// Targets: Note [One source, many targets] in simd.cc.

#include <cstdint>
#include <type_traits>

#include "batch/compact_row.h"
#include "batch/compact_row_ref.h"
#include "batch/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "batch/expand.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace penstock::batch::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

template <class In>
void expand_f32(const std::byte* in, std::size_t n, std::byte* out) {
  for (std::size_t i = 0; i < n; ++i) store(out, i, static_cast<float>(load<In>(in, i)));
}
template <class In>
void expand_bf16(const std::byte* in, std::size_t n, std::byte* out) {
  for (std::size_t i = 0; i < n; ++i) store(out, i, cast<BFloat>(load<In>(in, i)));
}
template <class In>
void expand_f16(const std::byte* in, std::size_t n, std::byte* out) {
  for (std::size_t i = 0; i < n; ++i) store(out, i, cast<Half>(load<In>(in, i)));
}
template <class In>
void stream_f32(const std::byte* in, std::size_t n, std::byte* out) {
  expand_f32<In>(in, n, out);
}
void ids_16_32(const std::uint16_t* in, std::size_t n, std::int32_t* out) { ref::expand_ids(in, n, out); }
void stream_ids_16_32(const std::uint16_t* in, std::size_t n, std::int32_t* out) { ids_16_32(in, n, out); }

#else

using DF = hn::ScalableTag<float>;
// Floats are made from signed integers, because AVX2 has no conversion from unsigned ones. Values of 16 bits
// fit.
using DI = hn::RebindToSigned<hn::RebindToUnsigned<DF> >;

// The next integers, as one vector of float.
template <class In>
HWY_INLINE hn::Vec<DF> load_as_f32(const std::byte* in, std::size_t i) {
  const hn::Rebind<In, DF> din;
  const auto narrow = hn::LoadU(din, reinterpret_cast<const In*>(in) + i);
  return hn::ConvertTo(DF(), hn::PromoteTo(DI(), narrow));
}

// Elements of 4 bytes before `out` stands at the start of a line; n when it never does, because it is not a
// multiple of 4. Arrays in slots are aligned, so that is for other callers.
HWY_INLINE std::size_t to_line(const void* out, std::size_t n) {
  const std::size_t bytes = (64 - reinterpret_cast<std::uintptr_t>(out) % 64) % 64;
  return bytes % 4 != 0 || bytes / 4 > n ? n : bytes / 4;
}

// As below, but whole lines go out past the caches: the reader is far away and the line would be
// read for nothing before it is overwritten. Streamed stores want aligned vectors, which from
// the first line on they are.
template <class In>
HWY_INLINE void stream_f32(const std::byte* HWY_RESTRICT in, std::size_t n, std::byte* HWY_RESTRICT out) {
  // 16 elements of 4 bytes are a line. Vectors may be shorter than one, never longer.
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<In, decltype(d)> din;
  const std::size_t lanes = hn::Lanes(d), head = to_line(out, n);
  std::size_t i = 0;
  for (; i < head; ++i) store(out, i, static_cast<float>(load<In>(in, i)));
  for (; i + 16 <= n; i += 16) {
    for (std::size_t j = 0; j < 16; j += lanes) {
      const auto narrow = hn::LoadU(din, reinterpret_cast<const In*>(in) + i + j);
      hn::Stream(hn::ConvertTo(d, hn::PromoteTo(di, narrow)), d, reinterpret_cast<float*>(out) + i + j);
    }
  }
  for (; i < n; ++i) store(out, i, static_cast<float>(load<In>(in, i)));
}

void stream_ids_16_32(const std::uint16_t* HWY_RESTRICT in, std::size_t n, std::int32_t* HWY_RESTRICT out) {
  const hn::CappedTag<std::int32_t, 16> d;
  const hn::Rebind<std::uint16_t, decltype(d)> d16;
  const std::size_t lanes = hn::Lanes(d), head = to_line(out, n);
  std::size_t i = 0;
  for (; i < head; ++i) out[i] = in[i];
  for (; i + 16 <= n; i += 16) {
    for (std::size_t j = 0; j < 16; j += lanes)
      hn::Stream(hn::PromoteTo(d, hn::LoadU(d16, in + i + j)), d, out + i + j);
  }
  for (; i < n; ++i) out[i] = in[i];
}

template <class In>
HWY_INLINE void expand_f32(const std::byte* HWY_RESTRICT in, std::size_t n, std::byte* HWY_RESTRICT out) {
  const DF d;
  const hn::Repartition<std::uint8_t, DF> d8;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::BitCast(d8, load_as_f32<In>(in, i)), d8, reinterpret_cast<std::uint8_t*>(out + 4 * i));
  }
  for (; i < n; ++i) store(out, i, static_cast<float>(load<In>(in, i)));
}

template <class In>
HWY_INLINE void expand_bf16(const std::byte* HWY_RESTRICT in, std::size_t n, std::byte* HWY_RESTRICT out) {
  const DI di;
  const hn::RebindToUnsigned<DI> du;
  const hn::Rebind<std::uint16_t, DF> d16;
  const std::size_t lanes = hn::Lanes(di);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::BitCast(du, load_as_f32<In>(in, i));
    // The rounding of convert_values.cc, without its NaN: integers have none.
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
    const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(du, 0x7fff)), odd));
    hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, rounded)), d16, reinterpret_cast<std::uint16_t*>(out) + i);
  }
  for (; i < n; ++i) store(out, i, cast<BFloat>(load<In>(in, i)));
}

// Half floats need F16C, which every processor with AVX2 has. Elsewhere the plain loop of cast.h makes them.
template <class In>
HWY_INLINE void expand_f16(const std::byte* HWY_RESTRICT in, std::size_t n, std::byte* HWY_RESTRICT out) {
  std::size_t i = 0;
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2  // with F16C
  const hn::Rebind<hwy::float16_t, DF> d16;
  const hn::Repartition<std::uint8_t, decltype(d16)> d8;
  const std::size_t lanes = hn::Lanes(DF());
  for (; i + lanes <= n; i += lanes) {
    const auto half = hn::DemoteTo(d16, load_as_f32<In>(in, i));
    hn::StoreU(hn::BitCast(d8, half), d8, reinterpret_cast<std::uint8_t*>(out + 2 * i));
  }
#endif
  for (; i < n; ++i) store(out, i, cast<Half>(load<In>(in, i)));
}

void ids_16_32(const std::uint16_t* HWY_RESTRICT in, std::size_t n, std::int32_t* HWY_RESTRICT out) {
  const DI d;
  const hn::Rebind<std::uint16_t, DI> d16;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::PromoteTo(d, hn::LoadU(d16, in + i)), d, out + i);
  for (; i < n; ++i) out[i] = in[i];
}

#endif  // HWY_TARGET == HWY_SCALAR

// Loops that the compiler vectorises for each target by itself.
void ids_16_64(const std::uint16_t* in, std::size_t n, std::int64_t* out) { ref::expand_ids(in, n, out); }
void ids_32_32(const std::uint32_t* in, std::size_t n, std::int32_t* out) { ref::expand_ids(in, n, out); }
void ids_32_64(const std::uint32_t* in, std::size_t n, std::int64_t* out) { ref::expand_ids(in, n, out); }

void values_8_f32(const std::byte* in, std::size_t n, std::byte* out) {
  expand_f32<std::uint8_t>(in, n, out);
}
void values_16_f32(const std::byte* in, std::size_t n, std::byte* out) {
  expand_f32<std::uint16_t>(in, n, out);
}
void stream_8_f32(const std::byte* in, std::size_t n, std::byte* out) {
  stream_f32<std::uint8_t>(in, n, out);
}
void stream_16_f32(const std::byte* in, std::size_t n, std::byte* out) {
  stream_f32<std::uint16_t>(in, n, out);
}
void values_8_bf16(const std::byte* in, std::size_t n, std::byte* out) {
  expand_bf16<std::uint8_t>(in, n, out);
}
void values_16_bf16(const std::byte* in, std::size_t n, std::byte* out) {
  expand_bf16<std::uint16_t>(in, n, out);
}
void values_8_f16(const std::byte* in, std::size_t n, std::byte* out) {
  expand_f16<std::uint8_t>(in, n, out);
}
void values_16_f16(const std::byte* in, std::size_t n, std::byte* out) {
  expand_f16<std::uint16_t>(in, n, out);
}

}  // namespace penstock::batch::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace penstock::batch {

HWY_EXPORT(ids_16_32);
HWY_EXPORT(ids_16_64);
HWY_EXPORT(ids_32_32);
HWY_EXPORT(ids_32_64);
HWY_EXPORT(values_8_f32);
HWY_EXPORT(values_16_f32);
HWY_EXPORT(stream_ids_16_32);
HWY_EXPORT(stream_8_f32);
HWY_EXPORT(stream_16_f32);
HWY_EXPORT(values_8_bf16);
HWY_EXPORT(values_16_bf16);
HWY_EXPORT(values_8_f16);
HWY_EXPORT(values_16_f16);

// What is not dispatched is either copied (`wide`) or of a type for which nobody has asked for speed.
void expand_values(const std::byte* in, ValueClass cls, std::size_t n, std::byte* out, NumericType type,
                   Writes writes) {
  if (cls != ValueClass::wide && !internal::scalar_forced()) {
    const bool bytes = cls == ValueClass::u8;
    if (type == NumericType::f32 && writes == Writes::streamed) {
      return bytes ? HWY_DYNAMIC_DISPATCH(stream_8_f32)(in, n, out)
                   : HWY_DYNAMIC_DISPATCH(stream_16_f32)(in, n, out);
    }
    if (type == NumericType::f32) {
      return bytes ? HWY_DYNAMIC_DISPATCH(values_8_f32)(in, n, out)
                   : HWY_DYNAMIC_DISPATCH(values_16_f32)(in, n, out);
    }
    if (type == NumericType::bf16) {
      return bytes ? HWY_DYNAMIC_DISPATCH(values_8_bf16)(in, n, out)
                   : HWY_DYNAMIC_DISPATCH(values_16_bf16)(in, n, out);
    }
    if (type == NumericType::f16) {
      return bytes ? HWY_DYNAMIC_DISPATCH(values_8_f16)(in, n, out)
                   : HWY_DYNAMIC_DISPATCH(values_16_f16)(in, n, out);
    }
  }
  ref::expand_values(in, cls, n, out, type);
}

void expand_ids(const std::uint16_t* in, std::size_t n, std::int32_t* out, Writes writes) {
  if (internal::scalar_forced()) return ref::expand_ids(in, n, out);
  if (writes == Writes::streamed) return HWY_DYNAMIC_DISPATCH(stream_ids_16_32)(in, n, out);
  HWY_DYNAMIC_DISPATCH(ids_16_32)(in, n, out);
}
void expand_ids(const std::uint16_t* in, std::size_t n, std::int64_t* out, Writes) {
  if (internal::scalar_forced()) return ref::expand_ids(in, n, out);
  HWY_DYNAMIC_DISPATCH(ids_16_64)(in, n, out);
}
void expand_ids(const std::uint32_t* in, std::size_t n, std::int32_t* out, Writes) {
  if (internal::scalar_forced()) return ref::expand_ids(in, n, out);
  HWY_DYNAMIC_DISPATCH(ids_32_32)(in, n, out);
}
void expand_ids(const std::uint32_t* in, std::size_t n, std::int64_t* out, Writes) {
  if (internal::scalar_forced()) return ref::expand_ids(in, n, out);
  HWY_DYNAMIC_DISPATCH(ids_32_64)(in, n, out);
}

}  // namespace penstock::batch
#endif  // HWY_ONCE
