// The shape of a dataset or an attribute. Both versions: version | rank | flags | a byte that is the kind in
// version 2 and reserved in version 1, which has 4 more reserved bytes | dimensions L | [flags&1: what they
// may grow to, L each].
//
// A scalar has rank 0 and one element. A null dataspace (kind 2) has none; it becomes the shape {0}, so that
// nobody downstream has to know of it.
#include "hdf5/dataspace.h"

#include <fmt/format.h>

#include "base/checked.h"

namespace penstock::hdf5 {

Result<Dataspace> parse_dataspace(const Image& image, std::span<const std::byte> body, Address at) {
  constexpr std::string_view kWhat = "dataspace message";
  ByteReader r(body);
  const unsigned version = r.u8(), rank = r.u8(), flags = r.u8();
  if (version != 1 && version != 2) {
    return image.corrupt(at, kWhat, fmt::format("expected version 1 or 2, found {}", version));
  }
  const unsigned kind = r.u8();
  if (version == 1) r.skip(4);
  if (rank > kMaxRank) return image.corrupt(at, kWhat, fmt::format("rank {} is above {}", rank, kMaxRank));
  Dataspace space;
  if (version == 2) {
    if (kind > 2) return image.corrupt(at, kWhat, fmt::format("unknown kind {}", kind));
    if (kind != 1 && rank != 0) {
      return image.corrupt(at, kWhat, fmt::format("{} with rank {}", kind == 0 ? "scalar" : "null", rank));
    }
    if (kind == 2) {
      space.dims = {0};
      space.elements = 0;
      return space;
    }
  }
  for (unsigned d = 0; d < rank; ++d) space.dims.push_back(image.length(r));
  if (flags & 1) {
    // All ones in the width of a length mean that there is no end.
    const std::uint64_t unlimited = ~std::uint64_t{0} >> (64 - 8 * image.superblock().length_size);
    for (unsigned d = 0; d < rank; ++d) {
      const std::uint64_t most = image.length(r);
      // Chunk indexes number chunks by the largest extent, so a shape beyond it would give numbers twice.
      if (!r.failed() && most != unlimited && space.dims[d] > most) {
        return image.corrupt(at, kWhat,
                             fmt::format("dimension {} is {}, above its maximum {}", d, space.dims[d], most));
      }
      space.most.push_back(most == unlimited ? kUnlimited : most);
    }
  } else {
    space.most = space.dims;
  }
  if (r.failed())
    return image.corrupt(at, kWhat, fmt::format("truncated: rank {} in {} bytes", rank, body.size()));
  // The product over the non-zero dimensions must not overflow either: chunk grids are computed from it.
  bool empty = false;
  for (const std::uint64_t n : space.dims) {
    empty |= n == 0;
    const auto product = checked_mul(space.elements, n == 0 ? 1 : n);
    if (!product) return image.corrupt(at, kWhat, "the product of the dimensions overflows 64 bits");
    space.elements = *product;
  }
  if (empty) space.elements = 0;
  return space;
}

}  // namespace penstock::hdf5
