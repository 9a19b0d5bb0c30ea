// LZF has two sorts of steps, told by the control byte: below 0x20 so many plus one bytes follow as
// they are; above, the upper three bits are a length less two and the lower five, with the next byte,
// how far back less one. So
//
//     02 61 62 63    3 bytes as they are: "abc"
//     20 02          1 + 2 = 3 bytes from 2 + 1 = 3 back: "abc" again
//
// h5py's own filter; its numbers (32000) and parameters are in h5py's lzf_filter.c. liblzf checks that
// nothing is read or written outside of the two buffers.

#include "codecs/lzf.h"

#include <liblzf/lzf.h>

#include <cerrno>
#include <limits>

namespace penstock::internal {

StageResult lzf_decode(std::span<const std::byte> stored, std::span<std::byte> out) {
  // lzf_decompress reads the first control byte without looking at the length, and counts in 32 bits.
  constexpr std::size_t kMost = std::numeric_limits<unsigned int>::max();
  if (stored.empty() || stored.size() > kMost || out.size() > kMost) return {StageStatus::bad_data};
  // 0 is how the library reports an error, so an output of 0 bytes could not be told from one.
  if (out.empty()) return {StageStatus::full};
  errno = 0;
  const unsigned int written = lzf_decompress(stored.data(), static_cast<unsigned int>(stored.size()),
                                              out.data(), static_cast<unsigned int>(out.size()));
  if (written > 0) return {StageStatus::ok, written};
  return {errno == E2BIG ? StageStatus::full : StageStatus::bad_data};
}

}  // namespace penstock::internal
