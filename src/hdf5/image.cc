// The file as its own addresses see it. Every address is relative to the superblock, which need not be at
// byte 0: other programs put a text of 512 bytes or more before it. Messages name positions in the file, as
// those are what a hex dump shows. Undefined addresses are all ones in their width: ff ff ff ff in a file
// with 4-byte offsets must become the same kUndefined as eight of them.
#include "hdf5/image.h"

#include <fmt/format.h>

#include <utility>

#include "base/checked.h"
#include "hdf5/links.h"
#include "hdf5/page_cache.h"

namespace penstock::hdf5 {
namespace {

// " at 0x1f", in the file and not from the base; nothing where a file has no address.
std::string at_text(Address base, Address address) {
  return address == kUndefined ? std::string() : fmt::format(" at 0x{:x}", saturating_add(base, address));
}

}  // namespace

Image::Image(std::shared_ptr<const File> file, Superblock superblock, std::shared_ptr<MemoryBudget> budget)
    : file_(std::move(file)),
      superblock_(superblock),
      budget_(std::move(budget)),
      size_(file_->size() - superblock.base),
      cache_key_(PageCache::instance().new_key()),
      link_cache_(std::make_unique<LinkCache>()) {}

Image::~Image() { PageCache::instance().forget(cache_key_); }

// An undefined address is a pointer that the writer left empty: saying so beats "at 0xffffffffffffffff".
Status Image::out_of_file(Address address, ByteCount bytes, std::string_view structure) const {
  if (address == kUndefined) return Status::corrupt(fmt::format("{}: its address is undefined", structure));
  return Status::corrupt(fmt::format("{} at 0x{:x}: {} bytes run past the end of the file ({} bytes)",
                                     structure, superblock_.base + address, bytes, file_->size()));
}

Status Image::read(Address address, std::span<std::byte> out, std::string_view structure) const {
  if (!contains(address, out.size())) return out_of_file(address, out.size(), structure);
  return PageCache::instance().read(cache_key_, *file_, position(address), out);
}

Status Image::read_uncached(Address address, std::span<std::byte> out, std::string_view structure) const {
  if (!contains(address, out.size())) return out_of_file(address, out.size(), structure);
  return file_->read_at(position(address), out);
}

Address Image::address(ByteReader& r) const {
  const unsigned width = superblock_.offset_size;
  const std::uint64_t value = r.uint(width);
  const std::uint64_t ones = width == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * width)) - 1;
  return value == ones ? kUndefined : value;
}

Status Image::corrupt(Address address, std::string_view structure, std::string_view detail) const {
  return Status::corrupt(fmt::format("{}{}: {}", structure, at_text(superblock_.base, address), detail));
}

Status Image::unsupported(Address address, std::string_view structure, std::string_view way_out) const {
  std::string message = fmt::format("{}{} is not supported", structure, at_text(superblock_.base, address));
  if (!way_out.empty()) message += fmt::format("; {}", way_out);
  return Status::unsupported(std::move(message));
}

}  // namespace penstock::hdf5
