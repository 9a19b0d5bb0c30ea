#include "batch/compact_row.h"
#include "batch/compact_row_ref.h"
#include "batch/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "batch/narrow_ids.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace penstock::batch::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Each kernel returns false when an id is not below `limit` (1 to 2^32). It then leaves the answer to the
// plain loop: bad files may be slow. Narrowing and the check for ascending order are two passes, because the
// second one then runs over narrow ids that are in L1, with twice or four times the lanes.
//
// Column ids come from the file as 32 or 64 bits and are kept in 16, or in 32 above 65,536 columns.
// This is where a damaged or hostile file is stopped: an id that is not below the number of columns
// would later be an address.
//
// The check costs one instruction a vector: the largest id is carried along and compared at the end. Ids
// are taken as unsigned, so that a negative one is large. Example, for 30,000 columns: 7, 12, -1 are 7,
// 12, 4294967295, the largest is not below 30,000, and the row goes to the plain loop, which says at
// which position the id is bad.

#if HWY_TARGET == HWY_SCALAR

template <class In, class Out>
bool narrow_plain(const std::byte* in, std::size_t n, std::uint64_t limit, Out* out) {
  In most = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const In id = load<In>(in, i);
    most = std::max(most, id);
    out[i] = static_cast<Out>(id);
  }
  return most < limit;
}
bool narrow_32_16(const std::byte* in, std::size_t n, std::uint64_t limit, std::uint16_t* out) {
  return narrow_plain<std::uint32_t>(in, n, limit, out);
}
bool narrow_32_32(const std::byte* in, std::size_t n, std::uint64_t limit, std::uint32_t* out) {
  return narrow_plain<std::uint32_t>(in, n, limit, out);
}
bool narrow_64_16(const std::byte* in, std::size_t n, std::uint64_t limit, std::uint16_t* out) {
  return narrow_plain<std::uint64_t>(in, n, limit, out);
}
bool narrow_64_32(const std::byte* in, std::size_t n, std::uint64_t limit, std::uint32_t* out) {
  return narrow_plain<std::uint64_t>(in, n, limit, out);
}
template <class Id>
bool ascending_plain(const Id* ids, std::size_t n) {
  bool ok = true;
  for (std::size_t i = 1; i < n; ++i) ok &= ids[i - 1] < ids[i];
  return ok;
}
bool ascending_16(const std::uint16_t* ids, std::size_t n) { return ascending_plain(ids, n); }
bool ascending_32(const std::uint32_t* ids, std::size_t n) { return ascending_plain(ids, n); }

#else

using D32 = hn::ScalableTag<std::uint32_t>;
using V32 = hn::Vec<D32>;

HWY_INLINE V32 load_32(const std::byte* p) {
  const hn::ScalableTag<std::uint8_t> d8;
  return hn::BitCast(D32(), hn::LoadU(d8, reinterpret_cast<const std::uint8_t*>(p)));
}

HWY_INLINE void store_narrow(V32 v, std::uint16_t* out) {
  const hn::Rebind<std::uint16_t, D32> d16;
  // Saturation instead of truncation is as good: a saturated id was out of range. A negative number saturates
  // at 0, which looks valid, but its unsigned form is in `most`.
  hn::StoreU(hn::DemoteTo(d16, hn::BitCast(hn::RebindToSigned<D32>(), v)), d16, out);
}
HWY_INLINE void store_narrow(V32 v, std::uint32_t* out) { hn::StoreU(v, D32(), out); }

HWY_INLINE bool all_below(V32 most, std::uint64_t limit) {
  return hn::GetLane(hn::MaxOfLanes(D32(), most)) < limit;
}

template <class Out>
HWY_INLINE bool narrow_32(const std::byte* in, std::size_t n, std::uint64_t limit, Out* HWY_RESTRICT out) {
  const std::size_t lanes = hn::Lanes(D32());
  std::uint32_t most_tail = 0;
  std::size_t i = 0;
  V32 most = hn::Zero(D32());
  for (; i + lanes <= n; i += lanes) {
    const V32 v = load_32(in + 4 * i);
    most = hn::Max(most, v);
    store_narrow(v, out + i);
  }
  for (; i < n; ++i) {
    const auto id = load<std::uint32_t>(in, i);
    most_tail = std::max(most_tail, id);
    out[i] = static_cast<Out>(id);
  }
  return most_tail < limit && all_below(most, limit);
}
bool narrow_32_16(const std::byte* in, std::size_t n, std::uint64_t limit, std::uint16_t* out) {
  return narrow_32(in, n, limit, out);
}
bool narrow_32_32(const std::byte* in, std::size_t n, std::uint64_t limit, std::uint32_t* out) {
  return narrow_32(in, n, limit, out);
}

// 64-bit ids are read as pairs of 32-bit words: the low words are the ids and the high words must be zero,
// which spares the 64-bit compares that AVX2 lacks.
template <class Out>
HWY_INLINE bool narrow_64(const std::byte* in, std::size_t n, std::uint64_t limit, Out* HWY_RESTRICT out) {
  const D32 d;
  const std::size_t lanes = hn::Lanes(d);
  std::uint64_t most_tail = 0;
  std::size_t i = 0;
  V32 most = hn::Zero(d);
  V32 high = hn::Zero(d);
  for (; i + lanes <= n; i += lanes) {
    // Two vectors of words: a = [id0 0 id1 0], b = [id2 0 id3 0]; their even words are [id0 id1 id2 id3].
    const V32 a = load_32(in + 8 * i);
    const V32 b = load_32(in + 8 * i + 4 * lanes);
    const V32 v = hn::ConcatEven(d, b, a);
    high = hn::Or(high, hn::ConcatOdd(d, b, a));
    most = hn::Max(most, v);
    store_narrow(v, out + i);
  }
  for (; i < n; ++i) {
    const auto id = load<std::uint64_t>(in, i);
    most_tail = std::max(most_tail, id);
    out[i] = static_cast<Out>(id);
  }
  return most_tail < limit && all_below(most, limit) && hn::AllTrue(d, hn::Eq(high, hn::Zero(d)));
}
bool narrow_64_16(const std::byte* in, std::size_t n, std::uint64_t limit, std::uint16_t* out) {
  return narrow_64(in, n, limit, out);
}
bool narrow_64_32(const std::byte* in, std::size_t n, std::uint64_t limit, std::uint32_t* out) {
  return narrow_64(in, n, limit, out);
}

// No vector instruction compares unsigned numbers on AVX2, while maximum and minimum exist. The compared
// pairs are the same array read twice, one element apart: [3 5 9 9] against [1 3 5 9] leaves [2 2 4 0], and
// the 0 says that a column comes twice.
template <class Id>
HWY_INLINE bool ascending(const Id* HWY_RESTRICT ids, std::size_t n) {
  const hn::ScalableTag<Id> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 1;
  // id > previous exactly where max(id, previous) - previous is not zero; the smallest difference of all
  // stays.
  hn::Vec<decltype(d)> smallest = hn::Set(d, 1);
  for (; i + lanes <= n; i += lanes) {
    const auto previous = hn::LoadU(d, ids + i - 1);
    const auto current = hn::LoadU(d, ids + i);
    smallest = hn::Min(smallest, hn::Sub(hn::Max(current, previous), previous));
  }
  bool ok = hn::AllFalse(d, hn::Eq(smallest, hn::Zero(d)));
  for (; i < n; ++i) ok &= ids[i - 1] < ids[i];
  return ok;
}
bool ascending_16(const std::uint16_t* ids, std::size_t n) { return ascending(ids, n); }
bool ascending_32(const std::uint32_t* ids, std::size_t n) { return ascending(ids, n); }

#endif  // HWY_TARGET == HWY_SCALAR

}  // namespace penstock::batch::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace penstock::batch {

HWY_EXPORT(narrow_32_16);
HWY_EXPORT(narrow_32_32);
HWY_EXPORT(narrow_64_16);
HWY_EXPORT(narrow_64_32);
HWY_EXPORT(ascending_16);
HWY_EXPORT(ascending_32);

NarrowResult narrow_ids(const std::byte* in, NumericType type, std::size_t n, std::uint64_t n_cols,
                        std::uint16_t* out) {
  bool done = false;
  if (!internal::scalar_forced()) {
    if (type == NumericType::i32 || type == NumericType::u32) {
      done = HWY_DYNAMIC_DISPATCH(narrow_32_16)(in, n, n_cols, out);  // negative ids look too large
    } else if (type == NumericType::i64 || type == NumericType::u64) {
      done = HWY_DYNAMIC_DISPATCH(narrow_64_16)(in, n, n_cols, out);
    } else if (type == NumericType::u16 && n > 0) {
      // As they are; in ascending order the last one is the largest. If the largest is too large or the order
      // is broken, the plain loop finds out which, and where.
      std::memcpy(out, in, n * sizeof(*out));
      if (out[n - 1] < n_cols && HWY_DYNAMIC_DISPATCH(ascending_16)(out, n)) return {true, true, 0};
    }
  }
  if (done) return {true, HWY_DYNAMIC_DISPATCH(ascending_16)(out, n), 0};
  return ref::narrow_ids(in, type, n, n_cols, out);
}

NarrowResult narrow_ids(const std::byte* in, NumericType type, std::size_t n, std::uint64_t n_cols,
                        std::uint32_t* out) {
  bool done = false;
  if (!internal::scalar_forced()) {
    if (type == NumericType::i32) {
      // Read as unsigned, negative ids start at 2^31.
      done = HWY_DYNAMIC_DISPATCH(narrow_32_32)(in, n, std::min(n_cols, std::uint64_t{1} << 31), out);
    } else if (type == NumericType::u32) {
      done = HWY_DYNAMIC_DISPATCH(narrow_32_32)(in, n, n_cols, out);
    } else if (type == NumericType::i64 || type == NumericType::u64) {
      done = HWY_DYNAMIC_DISPATCH(narrow_64_32)(in, n, n_cols, out);
    }
  }
  if (done) return {true, HWY_DYNAMIC_DISPATCH(ascending_32)(out, n), 0};
  return ref::narrow_ids(in, type, n, n_cols, out);
}

}  // namespace penstock::batch
#endif  // HWY_ONCE
