#include "hdf5/filter_message.h"

#include <fmt/format.h>

#include <string_view>

namespace penstock::hdf5 {

Result<std::vector<FilterSpec>> parse_filters(const Image& image, std::span<const std::byte> body,
                                              Address at) {
  constexpr std::string_view kWhat = "filter pipeline message";
  constexpr unsigned kMaxFilters = 32;
  constexpr std::uint16_t kFirstNamed = 256;  // version 2 leaves out the names of HDF5's own filters
  ByteReader r(body);
  const unsigned version = r.u8(), count = r.u8();
  if (version != 1 && version != 2) {
    return image.corrupt(at, kWhat, fmt::format("expected version 1 or 2, found {}", version));
  }
  if (version == 1) r.skip(6);
  if (count > kMaxFilters)
    return image.corrupt(at, kWhat, fmt::format("{} filters, at most 32 are legal", count));
  std::vector<FilterSpec> filters;
  for (unsigned i = 0; i < count && !r.failed(); ++i) {
    FilterSpec f;
    f.id = r.u16();
    std::size_t name_bytes = 0;
    if (version == 1 || f.id >= kFirstNamed) name_bytes = r.u16();
    r.skip(2);  // flags: optional or not makes no difference to a reader
    const unsigned params = r.u16();
    const std::string_view name = r.chars(version == 1 ? (name_bytes + 7) / 8 * 8 : name_bytes);
    f.name = name.substr(0, name.find('\0'));
    if (params > r.remaining() / 4)
      return image.corrupt(at, kWhat, fmt::format("truncated: {} client values", params));
    for (unsigned p = 0; p < params; ++p) f.params.push_back(r.u32());
    if (version == 1 && params % 2 != 0) r.skip(4);
    filters.push_back(std::move(f));
  }
  if (r.failed())
    return image.corrupt(at, kWhat, fmt::format("truncated: {} filters in {} bytes", count, body.size()));
  return filters;
}

}  // namespace penstock::hdf5
