#include "codecs/blosclz.h"

#include <cstring>

#include "base/byte_reader.h"

namespace penstock::internal {
namespace {

constexpr std::size_t kNear = 8191;  // distances above follow in 16 bits

// A match may overlap what it writes: then it repeats what lies before it.
void copy_match(std::byte* to, std::size_t distance, std::size_t length) {
  const std::byte* const from = to - distance;
  if (distance >= length) {
    std::memcpy(to, from, length);
  } else if (distance == 1) {
    std::memset(to, std::to_integer<int>(*from), length);
  } else {
    for (std::size_t i = 0; i < length; ++i) to[i] = from[i];
  }
}

}  // namespace

// Control byte c < 32: c + 1 literals follow. Else a match: its length less 2 in the upper three bits (7: bytes
// follow that add to it, up to the first below 255), bits 8 to 12 of its distance in the lower five, the others
// in the next byte. A distance of all ones is followed by what goes beyond it, u16 big-endian. The first control
// byte always is of literals.
StageResult blosclz_block(In stored, Out out) {
  ByteReader r(stored);
  std::size_t at = 0;
  unsigned control = r.u8() & 31U;
  while (!r.failed()) {
    if (control < 32) {
      const std::size_t length = control + 1;
      const In literals = r.bytes(length);
      if (r.failed()) return {StageStatus::bad_data};
      if (length > out.size() - at) return {StageStatus::full};
      std::memcpy(out.data() + at, literals.data(), length);
      at += length;
    } else {
      std::size_t length = (control >> 5) + 2;
      if (control >> 5 == 7) {
        for (unsigned more = 255; more == 255 && !r.failed(); length += more) more = r.u8();
      }
      const std::size_t high = (control & 31U) << 8;
      const std::size_t low = r.u8();
      std::size_t distance = high + low + 1;
      if (low == 255 && high == std::size_t{31} << 8) {
        const std::size_t far = r.u8();
        distance = (far << 8 | r.u8()) + kNear + 1;
      }
      if (r.failed() || distance > at) return {StageStatus::bad_data};
      if (length > out.size() - at) return {StageStatus::full};
      copy_match(out.data() + at, distance, length);
      at += length;
    }
    if (r.remaining() == 0) return {StageStatus::ok, at};
    control = r.u8();
  }
  return {StageStatus::bad_data};
}

}  // namespace penstock::internal
