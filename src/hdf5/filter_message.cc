// The filters that chunks went through when they were written, in that order; readers undo them from the last
// to the first. Version | filters u8 | [version 1: 6 reserved], then for each filter: number u16 | [bytes of
// the name u16] | flags u16 | client values u16 | [name] | client values u32. Version 1 pads names to 8
// bytes, and an odd number of client values by 4.
//
// Client values are the filter's parameters, such as the level of deflate. Names are for messages only: that
// of one widespread plugin is a URL.
#include "hdf5/filter_message.h"

#include <fmt/format.h>

#include <string_view>

namespace penstock::hdf5 {

Result<std::vector<StoredFilter>> parse_filters(const Image& image, std::span<const std::byte> body,
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
  std::vector<StoredFilter> filters;
  for (unsigned i = 0; i < count && !r.failed(); ++i) {
    StoredFilter f;
    f.number = r.u16();
    std::size_t name_bytes = 0;
    if (version == 1 || f.number >= kFirstNamed) name_bytes = r.u16();
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
