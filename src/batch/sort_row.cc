// Rows whose columns are not in order, or that name a column twice: rare, but they may be long.
// Example: ids 7 2 7 with values 1 5 3. The keys (id, position) are (7,0) (2,1) (7,2); sorted by id they are
// (2,1) (7,0) (7,2), and values are gathered by position: ids 2 7 with values 5 and 1 + 3.
//
// Floats are added in the order of the file, because the sort is stable; another order could give another
// sum, and batches must not depend on how a row was sorted.
#include <array>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "batch/cast.h"
#include "batch/compact_row.h"
#include "batch/numeric.h"

namespace penstock::batch {
namespace {

constexpr std::size_t kMostValueBytes = 8;

// The id in the high half, the position in the low half: sorting by the high half alone is stable, and the
// values move once, at the end.
using Key = std::uint64_t;

// Radix sort by one byte of the id per pass; passes in which all ids agree are left out. Returns where the
// result is. Up to four passes, whatever the data: a file cannot make it slow, as it could a quicksort. Rows
// of a matrix of up to 65,536 columns take two.
Key* radix_sort(Key* keys, Key* other, std::size_t n, int id_bytes) {
  for (int byte = 0; byte < id_bytes; ++byte) {
    const int shift = 32 + 8 * byte;
    std::array<std::uint32_t, 256> starts{};
    for (std::size_t i = 0; i < n; ++i) ++starts[keys[i] >> shift & 0xff];
    // All keys are in the bucket of the first one.
    if (starts[keys[0] >> shift & 0xff] == n) continue;
    std::uint32_t total = 0;
    // Counts become the places where the buckets begin.
    for (std::uint32_t& start : starts) total += std::exchange(start, total);
    for (std::size_t i = 0; i < n; ++i) other[starts[keys[i] >> shift & 0xff]++] = keys[i];
    std::swap(keys, other);
  }
  return keys;
}

template <class T, class Id>
std::size_t gather(const Key* keys, std::size_t n, Id* ids, std::byte* values, std::byte* sorted) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; ++i) {
    // Ids are written over the unsorted ones, since the keys have them. Values are not in the keys, and so go
    // to a place of their own before they come back.
    const auto id = static_cast<Id>(keys[i] >> 32);
    const T value = load<T>(values, keys[i] & 0xffffffff);
    if (kept > 0 && ids[kept - 1] == id) {
      store(sorted, kept - 1, sum(load<T>(sorted, kept - 1), value));
    } else {
      ids[kept] = id;
      store(sorted, kept, value);
      ++kept;
    }
  }
  std::memcpy(values, sorted, kept * sizeof(T));
  return kept;
}

template <class Id>
std::size_t sort_any(Id* ids, std::byte* values, NumericType value_type, std::size_t n, std::byte* scratch) {
  if (n < 2) return n;
  PENSTOCK_DCHECK(n >> 32 == 0);
  // The scratch is whatever a thread has left, at any address: | pad | keys | other keys | values |
  const std::size_t misaligned = reinterpret_cast<std::uintptr_t>(scratch) % alignof(Key);
  auto* keys = reinterpret_cast<Key*>(scratch + (misaligned == 0 ? 0 : alignof(Key) - misaligned));
  Key* other = keys + n;
  auto* sorted_values = reinterpret_cast<std::byte*>(other + n);
  for (std::size_t i = 0; i < n; ++i) keys[i] = static_cast<Key>(ids[i]) << 32 | i;
  const Key* sorted = radix_sort(keys, other, n, sizeof(Id));
  return visit_numeric(value_type, [&]<class T>(std::type_identity<T>) {
    return gather<T>(sorted, n, ids, values, sorted_values);
  });
}

}  // namespace

std::size_t sort_scratch_bytes(std::size_t n) {
  return alignof(Key) + n * (2 * sizeof(Key) + kMostValueBytes);
}

std::size_t sort_row(std::uint16_t* ids, std::byte* values, NumericType value_type, std::size_t n,
                     std::byte* scratch) {
  return sort_any(ids, values, value_type, n, scratch);
}

std::size_t sort_row(std::uint32_t* ids, std::byte* values, NumericType value_type, std::size_t n,
                     std::byte* scratch) {
  return sort_any(ids, values, value_type, n, scratch);
}

}  // namespace penstock::batch
