// A copy that does not go through the caches, for dense batches: they are written once and read by
// somebody else, maybe a GPU, and are larger than the caches. Without it every line would be read
// before it is overwritten.

#include "batch/stream.h"

#include <cstdint>
#include <cstring>

#include "batch/compact_row.h"
#include "batch/densify.h"
#include "batch/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "batch/stream.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace penstock::batch::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void stream_lines(std::byte* HWY_RESTRICT dst, const std::byte* HWY_RESTRICT src, std::size_t n) {
#if HWY_TARGET == HWY_SCALAR
  if (n > 0) std::memcpy(dst, src, n);
#else
  constexpr std::size_t kLine = 64;
  // Up to the first line of dst. src may be at any alignment: it is in L1, where that costs little.
  const std::size_t head = std::min(n, (kLine - reinterpret_cast<std::uintptr_t>(dst) % kLine) % kLine);
  if (head > 0) std::memcpy(dst, src, head);
  std::size_t i = head;
  // Vectors of at most a line, and a line at a time: a write-combining buffer is never left half full.
  const hn::CappedTag<std::uint8_t, kLine> d;
  const std::size_t lanes = hn::Lanes(d);
  for (; i + kLine <= n; i += kLine) {
    for (std::size_t j = 0; j < kLine; j += lanes) {
      const auto v = hn::LoadU(d, reinterpret_cast<const std::uint8_t*>(src + i + j));
      hn::Stream(v, d, reinterpret_cast<std::uint8_t*>(dst + i + j));
    }
  }
  if (i < n) std::memcpy(dst + i, src + i, n - i);
#endif
}

}  // namespace penstock::batch::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace penstock::batch {

HWY_EXPORT(stream_lines);

void internal::stream_block(std::byte* dst, const std::byte* src, std::size_t n) {
  if (!scalar_forced()) return HWY_DYNAMIC_DISPATCH(stream_lines)(dst, src, n);
  if (n > 0) std::memcpy(dst, src, n);
}

// Streamed stores are outside of the order in which a processor makes ordinary ones visible. Without the
// fence a thread that is told that the batch is complete could still read old memory.
void stream_fence() { hwy::FlushStream(); }

void stream_copy(std::byte* dst, const std::byte* src, std::size_t n) {
  internal::stream_block(dst, src, n);
  stream_fence();
}

}  // namespace penstock::batch
#endif  // HWY_ONCE
