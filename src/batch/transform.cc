// Normalising and log1p, once for every entry that is delivered. The logarithm is what costs: a polynomial
// for floats of any value, and a table for rows whose values are counts of one byte, of which there are
// few different ones. Both come out the same bit for bit, so the form in which the window keeps a row
// cannot be told from a batch.

#include "batch/transform.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "batch/numeric.h"
#include "batch/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "batch/transform.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// After foreach_target.h, and once per target.
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace penstock::batch::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// values * scale, and log(1 + x) of that. log1p and not log(1 + x): counts divided by large totals are small,
// and 1 + x would lose their digits. What is left of a row at its end goes through the same vectors, padded
// with zeros, so that what becomes of a value does not depend on where it stands.
template <class T>
HWY_INLINE void scale_as(std::byte* values, std::size_t n, double scale, bool log1p) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const std::size_t lanes = hn::Lanes(d);
  const V factor = hn::Set(d, static_cast<T>(scale));
  const V minus_one = hn::Set(d, T{-1});
  const V nan = hn::Set(d, std::numeric_limits<T>::quiet_NaN());
  const V low = hn::Set(d, -std::numeric_limits<T>::infinity());
  const auto apply = [&](V v) HWY_ATTR {
    v = hn::Mul(v, factor);
    if (!log1p) return v;
    // The polynomial knows nothing of the edge of the logarithm, nor of infinity. log1p(-1) is minus
    // infinity, below -1 it is no number, and infinity stays. All lanes are computed, and the right result is
    // chosen afterwards: lanes cannot branch.
    const V big = hn::Set(d, std::numeric_limits<T>::max());
    const V log = hn::IfThenElse(hn::Gt(v, big), v, hn::Log1p(d, v));
    const V at_edge = hn::IfThenElse(hn::Eq(v, minus_one), low, log);
    return hn::IfThenElse(hn::Ge(v, minus_one), at_edge, nan);
  };
  std::size_t i = 0;
  T part[hn::MaxLanes(d)];
  for (; i + lanes <= n; i += lanes) {
    // The values may lie anywhere: row by row in a batch.
    std::memcpy(part, values + i * sizeof(T), lanes * sizeof(T));
    hn::StoreU(apply(hn::LoadU(d, part)), d, part);
    std::memcpy(values + i * sizeof(T), part, lanes * sizeof(T));
  }
  if (i == n) return;
  std::memset(part, 0, sizeof(part));
  std::memcpy(part, values + i * sizeof(T), (n - i) * sizeof(T));
  hn::StoreU(apply(hn::LoadU(d, part)), d, part);
  std::memcpy(values + i * sizeof(T), part, (n - i) * sizeof(T));
}

void scale_f32(std::byte* values, std::size_t n, double scale, bool log1p) {
  scale_as<float>(values, n, scale, log1p);
}
void scale_f64(std::byte* values, std::size_t n, double scale, bool log1p) {
  scale_as<double>(values, n, scale, log1p);
}

}  // namespace penstock::batch::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace penstock::batch {

HWY_EXPORT(scale_f32);
HWY_EXPORT(scale_f64);

namespace {

template <class T>
void scale_plain(std::byte* values, std::size_t n, double scale, bool log1p) {
  const T factor = static_cast<T>(scale);
  for (std::size_t i = 0; i < n; ++i) {
    const T value = load<T>(values, i) * factor;
    store<T>(values, i, log1p ? std::log1p(value) : value);
  }
}

}  // namespace

void scale_values(std::byte* values, NumericType type, std::size_t n, double scale, bool log1p) {
  const bool wide = type == NumericType::f64;
  if (internal::scalar_forced()) {
    return wide ? scale_plain<double>(values, n, scale, log1p) : scale_plain<float>(values, n, scale, log1p);
  }
  return wide ? HWY_DYNAMIC_DISPATCH(scale_f64)(values, n, scale, log1p)
              : HWY_DYNAMIC_DISPATCH(scale_f32)(values, n, scale, log1p);
}

// A row of 2,000 counts of which the largest is 40 takes 41 logarithms. The table is made by the vector
// kernel itself, because std::log1p may differ from it in the last bit.
void scale_counts(const std::uint8_t* counts, std::size_t n, double scale, bool log1p, float* out) {
  std::uint8_t most = 0;
  for (std::size_t i = 0; i < n; ++i) most = std::max(most, counts[i]);
  float table[256];
  const std::size_t entries = std::size_t{most} + 1;
  for (std::size_t k = 0; k < entries; ++k) table[k] = static_cast<float>(k);
  scale_values(reinterpret_cast<std::byte*>(table), NumericType::f32, entries, scale, log1p);
  for (std::size_t i = 0; i < n; ++i) out[i] = table[counts[i]];
}

std::uint64_t sum_counts(const std::uint8_t* counts, std::size_t n) {
  std::uint64_t total = 0;
  // A block's sum fits 32 bits, which vectorises better than 64.
  constexpr std::size_t kBlock = 1 << 16;
  for (std::size_t first = 0; first < n; first += kBlock) {
    std::uint32_t sum = 0;
    for (std::size_t i = first; i < std::min(n, first + kBlock); ++i) sum += counts[i];
    total += sum;
  }
  return total;
}

}  // namespace penstock::batch
#endif  // HWY_ONCE
