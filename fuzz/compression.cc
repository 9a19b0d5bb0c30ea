#include "codecs/compression.h"

#include "codecs.h"
#include "require.h"
#include "targets.h"

namespace penstock::fuzz {

using testing::Bytes;
using testing::GuardedBytes;

// The first byte picks the codec, the next ones the size.
std::string compression(Input input) {
  Head head(input);
  const auto codec = static_cast<Compression>(head.u8() % 9);
  const std::size_t size = head.size();
  const GuardedBytes stored(head.rest());
  const GuardedBytes out(size), part(size);
  CodecContext context;
  const std::size_t n = decompress_head(codec, stored.span(), part.span(), context);
  require(n <= size, "more of a head than there is room");
  const DecodeResult result = decompress(codec, stored.span(), out.span(), context);
  if (result.ok() && codec != Compression::lz4_hadoop) {
    require(n == size && part.copy() == out.copy(), "a head that differs from the whole");
  }
  require(!result.ok() || size <= max_decompressed(codec, stored.span().size()), "more than the codec can");
  return result.describe();
}

}  // namespace penstock::fuzz
