// Two sums, kept modulo 65,535: of the words, and of all values that the first sum has had, so that it
// matters where a word stands. For the bytes 01 02 03 04:
//
//     words          0x0102    0x0304
//     sum1           0x0102    0x0406
//     sum2           0x0102    0x0508     checksum 0x05080406, stored as 06 04 08 05
//
// The remainder is taken by folding: 65,536 is 1 modulo 65,535, so that the upper half of a sum
// is added to the lower one.

#include "codecs/fletcher32.h"

#include <algorithm>

namespace penstock::internal {

std::uint32_t fletcher32(std::span<const std::byte> data) {
  // 360 words are the most that cannot overflow 32 bits from reduced sums: sum2 grows by at most 360 * 361 /
  // 2 times 65,535, and by 360 times what sum1 was, to just below 2^32.
  constexpr std::size_t kWordsPerFold = 360;
  const auto fold = [](std::uint32_t sum) { return (sum & 0xffff) + (sum >> 16); };
  std::uint32_t sum1 = 0;
  std::uint32_t sum2 = 0;
  const auto* p = reinterpret_cast<const std::uint8_t*>(data.data());
  for (std::size_t words = data.size() / 2; words > 0;) {
    const std::size_t run = std::min(words, kWordsPerFold);
    for (std::size_t i = 0; i < run; ++i, p += 2) {
      sum1 += (std::uint32_t{p[0]} << 8) | p[1];
      sum2 += sum1;
    }
    sum1 = fold(sum1);
    sum2 = fold(sum2);
    words -= run;
  }
  if (data.size() % 2 != 0) {
    sum1 += std::uint32_t{*p} << 8;
    sum2 += sum1;
    sum1 = fold(sum1);
    sum2 = fold(sum2);
  }
  // Once more, since one fold may leave 17 bits.
  sum1 = fold(sum1);
  sum2 = fold(sum2);
  return (sum2 << 16) | sum1;
}

}  // namespace penstock::internal
