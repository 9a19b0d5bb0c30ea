#include <fmt/format.h>

#include "codecs.h"
#include "codecs/kernels/unshuffle.h"
#include "codecs/kernels/unshuffle_ref.h"
#include "every_target.h"
#include "require.h"

namespace penstock::fuzz {

std::string shuffle(Input input) {
  Head head(input);
  const std::size_t item_size = 1 + head.u8() % 40, shift = head.u8() % 64;
  const Input data = head.rest();
  const testing::GuardedBytes in(data);
  testing::Bytes expected(data.size());
  internal::unshuffle_ref(in.span().data(), data.size(), item_size, expected.data());
  require(testing::shuffled(expected, item_size) == testing::Bytes(data.begin(), data.end()),
          "the plain loop does not undo a shuffle");
  on_every_target([&](const std::string& target) {
    const testing::GuardedBytes out(data.size());
    internal::unshuffle(in.span().data(), data.size(), item_size, out.span().data());
    require(out.copy() == expected, target + ": another result than the plain loop's");
    // Another alignment of the output.
    std::vector<std::byte> moved(data.size() + shift);
    internal::unshuffle(in.span().data(), data.size(), item_size, moved.data() + shift);
    require(std::equal(expected.begin(), expected.end(), moved.begin() + static_cast<std::ptrdiff_t>(shift)),
            target + ": another result at another alignment");
  });
  return fmt::format("ok: {} bytes, items of {}\n", data.size(), item_size);
}

}  // namespace penstock::fuzz
