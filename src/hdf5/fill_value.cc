// The element that stands for all that was never written. Old message: size u32 | value. Versions 1 and 2:
// version | time of allocation | time of writing | defined u8 | [size u32 | value]. Version 3 packs times and
// "defined" into flags: version | flags | [size u32 | value]; bit 5 of them means that there is a value.
#include "hdf5/fill_value.h"

#include <fmt/format.h>

namespace penstock::hdf5 {

Result<std::vector<std::byte>> parse_fill_value(const Image& image, const Message& message) {
  constexpr std::string_view kWhat = "fill value message";
  ByteReader r(message.body);
  bool defined = true;
  if (message.type == MessageType::fill_value) {
    const unsigned version = r.u8();
    if (version == 1 || version == 2) {
      r.skip(2);  // times of allocation and of writing
      defined = r.u8() != 0;
    } else if (version == 3) {
      defined = (r.u8() & 0x20) != 0;
    } else {
      return image.corrupt(message.address, kWhat, fmt::format("expected version 1 to 3, found {}", version));
    }
  }
  if (r.failed()) return image.corrupt(message.address, kWhat, "truncated");
  std::vector<std::byte> value;
  if (!defined) return value;
  const std::uint32_t size = r.u32();
  const auto bytes = r.bytes(r.failed() ? 0 : size);
  if (r.failed()) {
    return image.corrupt(message.address, kWhat,
                         fmt::format("{} bytes in a message of {}", size, message.body.size()));
  }
  value.assign(bytes.begin(), bytes.end());
  return value;
}

}  // namespace penstock::hdf5
