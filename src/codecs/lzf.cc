#include "codecs/lzf.h"

#include <liblzf/lzf.h>

#include <cerrno>
#include <limits>

namespace penstock::internal {

StageResult lzf_decode(std::span<const std::byte> stored, std::span<std::byte> out) {
  // lzf_decompress reads the first control byte without looking at the length, and counts in 32 bits.
  constexpr std::size_t kMost = std::numeric_limits<unsigned int>::max();
  if (stored.empty() || stored.size() > kMost || out.size() > kMost) return {StageStatus::bad_data};
  if (out.empty()) return {StageStatus::full};
  errno = 0;
  const unsigned int written = lzf_decompress(stored.data(), static_cast<unsigned int>(stored.size()),
                                              out.data(), static_cast<unsigned int>(out.size()));
  if (written > 0) return {StageStatus::ok, written};
  return {errno == E2BIG ? StageStatus::full : StageStatus::bad_data};
}

}  // namespace penstock::internal
