// Shuffle is what makes small numbers compress: first all lowest bytes, then all second ones. The
// 32-bit counts 1, 2 and 300:
//
//     items    01 00 00 00   02 00 00 00   2c 01 00 00
//     stored   01 02 2c   00 00 01   00 00 00   00 00 00
//
// Putting them back is a transposition, which vectors do by interleaving pairs. For four planes a, b, c, d:
//
//     a0 a1 a2 ..  with  b0 b1 b2 ..          a0 b0 a1 b1 a2 b2 ..      cells of one byte
//     c0 c1 c2 ..  with  d0 d1 d2 ..          c0 d0 c1 d1 c2 d2 ..
//     the first    with  the second           a0 b0 c0 d0 a1 b1 ..      cells of two bytes: items 0 to 3
//
// Eight planes are twice four and one step more, with cells of four bytes.

#include "codecs/kernels/unshuffle.h"

#include <cstdint>
#include <cstring>

#include "codecs/kernels/unshuffle_ref.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codecs/kernels/unshuffle.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace penstock::internal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

void unshuffle2(const std::uint8_t* in, std::size_t items, std::uint8_t* out) {
  unshuffle_ref(reinterpret_cast<const std::byte*>(in), items * 2, 2, reinterpret_cast<std::byte*>(out));
}
void unshuffle4(const std::uint8_t* in, std::size_t items, std::uint8_t* out) {
  unshuffle_ref(reinterpret_cast<const std::byte*>(in), items * 4, 4, reinterpret_cast<std::byte*>(out));
}
void unshuffle8(const std::uint8_t* in, std::size_t items, std::uint8_t* out) {
  unshuffle_ref(reinterpret_cast<const std::byte*>(in), items * 8, 8, reinterpret_cast<std::byte*>(out));
}

#else

// Vectors of 16 bytes on every target: wider unpacks work inside 16-byte blocks and would need a permutation
// before each store, and 16 bytes already keep up with L2.
using D8 = hn::Full128<std::uint8_t>;
using V8 = hn::Vec<D8>;
constexpr std::size_t kStep = 16;

// Interleaves two planes whose cells are T wide: (a0 b0 a1 b1 ...).
template <class T>
HWY_INLINE V8 zip_lower(V8 a, V8 b) {
  const D8 d8;
  const hn::Full128<T> d;
  return hn::BitCast(d8, hn::InterleaveLower(d, hn::BitCast(d, a), hn::BitCast(d, b)));
}
template <class T>
HWY_INLINE V8 zip_upper(V8 a, V8 b) {
  const D8 d8;
  const hn::Full128<T> d;
  return hn::BitCast(d8, hn::InterleaveUpper(d, hn::BitCast(d, a), hn::BitCast(d, b)));
}

void unshuffle2(const std::uint8_t* HWY_RESTRICT in, std::size_t items, std::uint8_t* HWY_RESTRICT out) {
  const D8 d;
  std::size_t i = 0;
  for (; i + kStep <= items; i += kStep) {
    const V8 p0 = hn::LoadU(d, in + i);
    const V8 p1 = hn::LoadU(d, in + items + i);
    hn::StoreU(zip_lower<std::uint8_t>(p0, p1), d, out + 2 * i);
    hn::StoreU(zip_upper<std::uint8_t>(p0, p1), d, out + 2 * i + 16);
  }
  for (; i < items; ++i) {
    for (std::size_t b = 0; b < 2; ++b) out[2 * i + b] = in[b * items + i];
  }
}

// Four planes joined for 16 items: item i's bytes are 32-bit cell i of the four vectors together.
struct Quads {
  V8 v0, v1, v2, v3;
};
HWY_INLINE Quads join4(const std::uint8_t* in, std::size_t items) {
  const D8 d;
  const V8 p0 = hn::LoadU(d, in);
  const V8 p1 = hn::LoadU(d, in + items);
  const V8 p2 = hn::LoadU(d, in + 2 * items);
  const V8 p3 = hn::LoadU(d, in + 3 * items);
  const V8 lo01 = zip_lower<std::uint8_t>(p0, p1);
  const V8 hi01 = zip_upper<std::uint8_t>(p0, p1);
  const V8 lo23 = zip_lower<std::uint8_t>(p2, p3);
  const V8 hi23 = zip_upper<std::uint8_t>(p2, p3);
  return {zip_lower<std::uint16_t>(lo01, lo23), zip_upper<std::uint16_t>(lo01, lo23),
          zip_lower<std::uint16_t>(hi01, hi23), zip_upper<std::uint16_t>(hi01, hi23)};
}

void unshuffle4(const std::uint8_t* HWY_RESTRICT in, std::size_t items, std::uint8_t* HWY_RESTRICT out) {
  const D8 d;
  std::size_t i = 0;
  for (; i + kStep <= items; i += kStep) {
    const Quads q = join4(in + i, items);
    hn::StoreU(q.v0, d, out + 4 * i);
    hn::StoreU(q.v1, d, out + 4 * i + 16);
    hn::StoreU(q.v2, d, out + 4 * i + 32);
    hn::StoreU(q.v3, d, out + 4 * i + 48);
  }
  for (; i < items; ++i) {
    for (std::size_t b = 0; b < 4; ++b) out[4 * i + b] = in[b * items + i];
  }
}

// Four items from their lower and their upper halves.
HWY_INLINE void store8(V8 lower, V8 upper, std::uint8_t* to) {
  const D8 d;
  hn::StoreU(zip_lower<std::uint32_t>(lower, upper), d, to);
  hn::StoreU(zip_upper<std::uint32_t>(lower, upper), d, to + 16);
}

void unshuffle8(const std::uint8_t* HWY_RESTRICT in, std::size_t items, std::uint8_t* HWY_RESTRICT out) {
  std::size_t i = 0;
  for (; i + kStep <= items; i += kStep) {
    const Quads lower = join4(in + i, items);
    const Quads upper = join4(in + 4 * items + i, items);
    store8(lower.v0, upper.v0, out + 8 * i);
    store8(lower.v1, upper.v1, out + 8 * i + 32);
    store8(lower.v2, upper.v2, out + 8 * i + 64);
    store8(lower.v3, upper.v3, out + 8 * i + 96);
  }
  for (; i < items; ++i) {
    for (std::size_t b = 0; b < 8; ++b) out[8 * i + b] = in[b * items + i];
  }
}

#endif  // HWY_TARGET == HWY_SCALAR

}  // namespace penstock::internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace penstock::internal {

HWY_EXPORT(unshuffle2);
HWY_EXPORT(unshuffle4);
HWY_EXPORT(unshuffle8);

// Sizes other than these are rare in matrices, and take the plain loop. Whatever size a file claims, the loop
// writes item_size * items <= n bytes.
void unshuffle(const std::byte* in, std::size_t n, std::size_t item_size, std::byte* out) {
  const std::size_t items = n / item_size;
  const auto* from = reinterpret_cast<const std::uint8_t*>(in);
  auto* to = reinterpret_cast<std::uint8_t*>(out);
  switch (item_size) {
    case 1:
      if (n > 0) std::memcpy(out, in, n);
      return;
    case 2:
      HWY_DYNAMIC_DISPATCH(unshuffle2)(from, items, to);
      break;
    case 4:
      HWY_DYNAMIC_DISPATCH(unshuffle4)(from, items, to);
      break;
    case 8:
      HWY_DYNAMIC_DISPATCH(unshuffle8)(from, items, to);
      break;
    default:
      unshuffle_ref(in, n, item_size, out);
      return;
  }
  const std::size_t whole = items * item_size;
  if (whole < n) std::memcpy(out + whole, in + whole, n - whole);
}

}  // namespace penstock::internal
#endif  // HWY_ONCE
