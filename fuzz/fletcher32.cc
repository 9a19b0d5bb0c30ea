#include "codecs/fletcher32.h"

#include <fmt/format.h>

#include "codecs.h"
#include "require.h"

namespace penstock::fuzz {

std::string fletcher32(Input input) {
  const testing::GuardedBytes data(input);
  const std::uint32_t sum = internal::fletcher32(data.span());
  // The definition: two sums modulo 65,535 over big-endian words. 0 and 65,535 are the same residue.
  std::uint64_t first = 0, second = 0;
  for (std::size_t i = 0; i < input.size(); i += 2) {
    const auto high = static_cast<std::uint64_t>(input[i]);
    const auto low = i + 1 < input.size() ? static_cast<std::uint64_t>(input[i + 1]) : 0;
    first = (first + (high << 8 | low)) % 65535;
    second = (second + first) % 65535;
  }
  require((sum & 0xffff) % 65535 == first && (sum >> 16) % 65535 == second,
          "another sum than the definition's");
  require(internal::fletcher32_swapped(internal::fletcher32_swapped(sum)) == sum,
          "swapped twice is another sum");
  return fmt::format("0x{:08x}\n", sum);
}

}  // namespace penstock::fuzz
