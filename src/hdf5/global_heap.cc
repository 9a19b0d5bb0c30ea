// Strings of variable length. An element is 16 bytes (with 8-byte addresses) wherever it is stored: in a
// chunk, in an attribute. The characters are in a collection, usually one of 4 KiB with many strings:
//
//     0a 00 00 00 | 00 08 00 00 00 00 00 00 | 01 00 00 00      10 characters, collection at 0x800, object 1
//     "GCOL" 01 000000 | 00 10 00 00 00 00 00 00               at 0x800: 4096 bytes
//     01 00 | 00 00 | 00000000 | 0a 00 00 00 00 00 00 00       object 1: 10 bytes
//     "csr_matrix" 00 00 00 00 00 00                           padded to 16
//
// A collection has no index, so all heads of its objects are read once, and their places are kept by number
// for the strings that follow. Only strings that are asked for are read.
//
// A hostile file is met by three bounds. Strings and tables are charged to the budget before they are taken;
// the tables are forgotten when they grow large; and the number of heads parsed is limited, see collection().
#include "hdf5/global_heap.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/checked.h"
#include "memory/reserve_for.h"

namespace penstock::hdf5 {
namespace {

constexpr std::string_view kWhat = "global heap collection";
constexpr ByteCount kObjectBytes = 64;  // of one entry in a Collection, with its share of the table
constexpr std::uint64_t kMostObjectsHeld = 1 << 16;  // above, the collections seen are forgotten
constexpr ByteCount kReserveStep = 64 << 10;

}  // namespace

Status StringReader::charge(ByteCount bytes) {
  charged_ += bytes;
  if (charged_ <= reservation_.bytes()) return {};
  // More than is needed now, so that most strings need no question to the budget, which other threads use,
  // too.
  const ByteCount wanted = charged_ + kReserveStep;
  if (reservation_.bytes() == 0) {
    PENSTOCK_ASSIGN_OR_RETURN(reservation_, image_.budget()->reserve(MemoryTag::index, wanted));
    return {};
  }
  return grow(reservation_, *image_.budget(), MemoryTag::index, wanted);
}

// "GCOL" | version 1 | 3 reserved | collection bytes L | objects: index u16 | references u16 | 0 u32 | size L
// | data padded to 8; index 0 is the free rest. Both heads are padded to 8 as well (with 4-byte lengths: 16
// bytes, which the specification does not draw).
Result<const StringReader::Collection*> StringReader::collection(Address address) {
  if (const auto it = collections_.find(address); it != collections_.end()) return &it->second;
  const unsigned L = image_.superblock().length_size;
  const std::size_t head_bytes = round_up(8 + L, 8);
  std::array<std::byte, 16> head;
  PENSTOCK_RETURN_IF_ERROR(image_.read(address, std::span(head).first(head_bytes), kWhat));
  ByteReader r(std::span<const std::byte>(head).first(head_bytes));
  if (!r.match("GCOL")) return image_.corrupt(address, kWhat, "expected signature GCOL");
  const unsigned version = r.u8();
  if (version != 1)
    return image_.corrupt(address, kWhat, fmt::format("expected version 1, found {}", version));
  r.skip(3);
  const std::uint64_t bytes = image_.length(r);
  if (bytes < head_bytes || !image_.contains(address, bytes)) {
    return image_.corrupt(address, kWhat, fmt::format("{} bytes do not fit in the file", bytes));
  }

  // A column's strings come in the order of their collections, so those seen long ago are not asked for
  // again.
  if (objects_held_ > kMostObjectsHeld) {
    collections_.clear();
    charged_ -= objects_held_ * kObjectBytes;
    objects_held_ = 0;
  }
  Collection objects;
  const std::size_t object_head = round_up(8 + L, 8);
  // `at` never passes `bytes`: the last line of the loop sees to it, as padding may be missing at the end.
  for (std::uint64_t at = head_bytes; bytes - at >= object_head;) {
    const Address here = address + at;
    PENSTOCK_RETURN_IF_ERROR(image_.read(here, std::span(head).first(object_head), "global heap object"));
    ByteReader o(std::span<const std::byte>(head).first(object_head));
    const std::uint32_t index = o.u16();
    o.skip(6);
    const std::uint64_t size = image_.length(o);
    if (index == 0) break;
    at += object_head;
    if (size > bytes - at) {
      return image_.corrupt(here, "global heap object",
                            fmt::format("{} bytes, {} are left in the collection", size, bytes - at));
    }
    // Overlapping collections would make the work quadratic; in order, each is parsed once or twice.
    if (++objects_parsed_ > image_.size() / 4 + 64 * strings_read_) {
      return image_.corrupt(here, "global heap object",
                            "collections overlap: more objects than the file can hold");
    }
    if (!objects.emplace(index, Object{here + object_head, size}).second) {
      return image_.corrupt(here, "global heap object", fmt::format("index {} is used twice", index));
    }
    ++objects_held_;
    PENSTOCK_RETURN_IF_ERROR(charge(kObjectBytes));
    at += std::min(round_up(size, 8), bytes - at);
  }
  return &collections_.emplace(address, std::move(objects)).first->second;
}

Status StringReader::string(ByteReader& r, Address at, std::string& out) {
  const std::uint32_t length = r.u32();
  const Address address = image_.address(r);
  const std::uint32_t index = r.u32();
  ++strings_read_;
  out.clear();
  // Writers store empty strings with an address of 0, or an undefined one, or any other.
  if (length == 0) return {};
  if (address == 0 || address == kUndefined) {
    return image_.corrupt(at, "vlen string", fmt::format("{} bytes without an address", length));
  }
  PENSTOCK_ASSIGN_OR_RETURN(const Collection* const objects, collection(address));
  const auto it = objects->find(index);
  if (it == objects->end()) {
    return image_.corrupt(address, kWhat, fmt::format("has no object {} (of {})", index, objects->size()));
  }
  if (it->second.bytes < length) {
    return image_.corrupt(it->second.data, "global heap object",
                          fmt::format("expected {} bytes or more, found {}", length, it->second.bytes));
  }
  PENSTOCK_RETURN_IF_ERROR(charge(length));
  // At most as long as the object, which lies within the file.
  out.resize(length);
  PENSTOCK_RETURN_IF_ERROR(
      image_.read(it->second.data, std::as_writable_bytes(std::span(out)), "vlen string"));
  if (const auto end = out.find('\0'); end != std::string::npos) out.resize(end);
  return {};
}

Status StringReader::read(std::span<const std::byte> elements, std::uint64_t count, Address at,
                          std::vector<std::string>& out) {
  ByteReader r(elements);
  PENSTOCK_RETURN_IF_ERROR(charge(count * sizeof(std::string)));
  out.reserve(out.size() + count);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string s;
    PENSTOCK_RETURN_IF_ERROR(string(r, at, s));
    out.push_back(std::move(s));
  }
  if (r.failed()) return image_.corrupt(at, "vlen string", "truncated");
  return {};
}

}  // namespace penstock::hdf5
