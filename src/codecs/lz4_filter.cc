#include "codecs/lz4_filter.h"

#include <algorithm>
#include <cstring>

#include "codecs/big_endian.h"

namespace penstock::internal {

StageResult lz4_filter_decode(In stored, Out out) {
  ByteReader r(stored);
  const std::uint64_t bytes = big_u64(r);
  const std::uint64_t block = big_u32(r);
  if (r.failed()) return {StageStatus::bad_data};
  if (bytes > out.size()) return {StageStatus::full, bytes};
  if (bytes > 0 && block == 0) return {StageStatus::bad_data};
  for (std::uint64_t at = 0; at < bytes;) {
    const Out to = out.subspan(at, std::min(block, bytes - at));
    const std::uint32_t size = big_u32(r);
    const In from = r.bytes(size);
    if (r.failed()) return {StageStatus::bad_data};
    if (size == to.size()) {
      std::memcpy(to.data(), from.data(), size);
    } else {
      const StageResult result = lz4_block(from, to);
      if (result.status != StageStatus::ok || result.written != to.size()) return {StageStatus::bad_data};
    }
    at += to.size();
  }
  return {StageStatus::ok, bytes};
}

}  // namespace penstock::internal
