#include "hdf5/object_header.h"

#include <fmt/format.h>

#include <array>
#include <unordered_set>
#include <vector>

namespace penstock::hdf5 {
namespace {

constexpr std::size_t kPrefix = 16;  // version 1 prefix with its padding
constexpr std::size_t kMessagePrefix = 8;
constexpr std::uint8_t kFailIfUnknown = 0x80;

struct Block {
  Address address = 0;
  std::uint64_t bytes = 0;
};

}  // namespace

Status visit_messages(const Image& image, Address header, const MessageVisitor& visit) {
  constexpr std::string_view kWhat = "object header";
  std::array<std::byte, kPrefix> prefix;
  PENSTOCK_RETURN_IF_ERROR(image.read(header, prefix, kWhat));
  ByteReader p(prefix);
  if (ByteReader(prefix).match("OHDR")) return image.unsupported(header, "HDF5 version 2 object header");
  const unsigned version = p.u8();
  if (version != 1) return image.corrupt(header, kWhat, fmt::format("expected version 1, found {}", version));
  // The count of messages is not used: libhdf5 reads all blocks to their end too, and tolerates counts that
  // its own message merging left too high.
  p.skip(1 + 2 + 4);
  const std::uint32_t first_bytes = p.u32();

  std::vector<Block> blocks = {{header + kPrefix, first_bytes}};
  std::unordered_set<Address> seen = {header + kPrefix};
  std::uint64_t visited = 0;
  std::vector<std::byte> body;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const Block block = blocks[b];
    if (!image.contains(block.address, block.bytes)) {
      return image.corrupt(block.address, b == 0 ? kWhat : "object header continuation",
                           fmt::format("{} bytes run past the end of the file", block.bytes));
    }
    if (block.bytes > image.size() - visited) {
      return image.corrupt(block.address, "object header continuation",
                           "blocks overlap: more bytes than the file has");
    }
    visited += block.bytes;
    for (std::uint64_t at = 0; at < block.bytes;) {
      const Address here = block.address + at;
      if (block.bytes - at < kMessagePrefix) {
        return image.corrupt(
            here, "header message",
            fmt::format("{} bytes left in the block, expected {} or more", block.bytes - at, kMessagePrefix));
      }
      std::array<std::byte, kMessagePrefix> start;
      PENSTOCK_RETURN_IF_ERROR(image.read(here, start, "header message"));
      ByteReader r(start);
      Message message;
      const std::uint16_t type = r.u16();
      const std::uint16_t size = r.u16();
      message.type = static_cast<MessageType>(type);
      message.flags = r.u8();
      message.address = here + kMessagePrefix;
      at += kMessagePrefix;
      if (size > block.bytes - at) {
        return image.corrupt(here, "header message",
                             fmt::format("type 0x{:x} claims {} bytes, {} are left in the block", type, size,
                                         block.bytes - at));
      }
      at += size;
      if (message.type == MessageType::nil) continue;
      if (message.type > MessageType::last_known) {
        if (message.flags & kFailIfUnknown) {
          return image.unsupported(here, fmt::format("HDF5 header message type 0x{:x}", type));
        }
        continue;
      }
      body.resize(size);
      PENSTOCK_RETURN_IF_ERROR(image.read(message.address, body, "header message"));
      if (message.type == MessageType::continuation) {
        ByteReader c(body);
        Block next;
        next.address = image.address(c);
        next.bytes = image.length(c);
        if (c.failed()) return image.corrupt(here, "object header continuation", "truncated message");
        if (next.bytes == 0 || !seen.insert(next.address).second) {
          return image.corrupt(here, "object header continuation",
                               next.bytes == 0 ? "the block is empty" : "the block was visited before");
        }
        blocks.push_back(next);
        continue;
      }
      message.body = body;
      bool stop = false;
      PENSTOCK_RETURN_IF_ERROR(visit(message, stop));
      if (stop) return {};
    }
  }
  return {};
}

Result<Address> shared_message_address(const Image& image, std::span<const std::byte> body, Address at) {
  ByteReader r(body);
  const unsigned version = r.u8(), type = r.u8();
  // The specification and the library disagree on version 1; no file in reach holds one.
  if (version == 1) return image.unsupported(at, "HDF5 version 1 shared message");
  if (version != 2 && version != 3) {
    return image.corrupt(at, "shared message", fmt::format("expected version 2 or 3, found {}", version));
  }
  if (version == 3 && type == 1) return image.unsupported(at, "HDF5 shared message table");
  if (version == 3 && type != 2)
    return image.corrupt(at, "shared message", fmt::format("unknown type {}", type));
  const Address address = image.address(r);
  if (r.failed()) return image.corrupt(at, "shared message", "truncated");
  return address;
}

}  // namespace penstock::hdf5
