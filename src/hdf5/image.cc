#include "hdf5/image.h"

#include <fmt/format.h>

#include <utility>

#include "hdf5/links.h"
#include "hdf5/page_cache.h"

namespace penstock::hdf5 {

Image::Image(std::shared_ptr<const File> file, Superblock superblock, std::shared_ptr<MemoryBudget> budget)
    : file_(std::move(file)),
      superblock_(superblock),
      budget_(std::move(budget)),
      size_(file_->size() - superblock.base),
      cache_key_(PageCache::instance().new_key()),
      link_cache_(std::make_unique<LinkCache>()) {}

Image::~Image() { PageCache::instance().forget(cache_key_); }

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
  return Status::corrupt(fmt::format("{} at 0x{:x}: {}", structure, superblock_.base + address, detail));
}

Status Image::unsupported(Address address, std::string_view structure) const {
  if (address == kUndefined) return Status::unsupported(fmt::format("{} is not supported", structure));
  return Status::unsupported(
      fmt::format("{} at 0x{:x} is not supported", structure, superblock_.base + address));
}

}  // namespace penstock::hdf5
