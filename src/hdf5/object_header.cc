// The messages of an object header. A header begins with one block of messages; when it is full, the writer
// continues in another block, anywhere in the file, and one message of the first says where. Most headers
// with more than a few attributes have such continuations.
//
//     version 1    01 | 00 | messages u16 | references u32 | bytes u32 | 4 of padding | messages
//     version 2    "OHDR" | 02 | flags | [times] | [limits] | bytes | messages | gap | checksum
//
// Both are walked with a list of blocks that grows while it is walked. A damaged header may send the walk in
// circles, so each block is visited once, and the bytes of all of them together are not more than the file's.
// Version 1 has no checksum, hence no need for a whole block: it is read message by message, each of 64 KiB
// at most, while a block may claim 4 GiB. A block of version 2 has to be in memory at once for its checksum.
#include "hdf5/object_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_set>
#include <vector>

#include "base/checked.h"
#include "hdf5/checksum.h"
#include "memory/reserve_for.h"

namespace penstock::hdf5 {
namespace {

constexpr std::string_view kHeader = "object header";
constexpr std::string_view kContinuation = "object header continuation";
constexpr std::string_view kMessage = "header message";
constexpr std::size_t kPrefix1 = 16;  // version 1 prefix with its padding
constexpr std::size_t kMessagePrefix1 = 8;
// Signature, version and flags | four times | two limits | the bytes of messages in their largest width.
constexpr std::size_t kLargestPrefix2 = 6 + 16 + 4 + 8;
// The writer's word that an object cannot be understood without this message. Other unknown messages are
// passed over, which is how the format has grown.
constexpr std::uint8_t kFailIfUnknown = 0x80;
// A header counts its messages in 16 bits, and a continuation block is named by one.
constexpr std::size_t kMostBlocks = 65536;
// Headers have a handful of blocks; more are taken from the budget, so many at a time.
constexpr std::size_t kFreeBlocks = 64, kBlocksAtOnce = 1024;
constexpr std::size_t kFreeBytes = 64 << 10;  // of a block of version 2

struct Block {
  Address address = 0;
  std::uint64_t bytes = 0;  // version 2: with signature and checksum
};
constexpr std::size_t kBytesOfBlock = sizeof(Block) + 64;  // in `blocks_` and in `seen_`

class Walk {
 public:
  Walk(const Image& image, const MessageVisitor& visit) : image_(image), visit_(visit) {}

  Status run(Address header) {
    std::array<std::byte, kLargestPrefix2> bytes;
    // Enough for either version, but a header at the end of the file may be shorter than that of version 2.
    // Not less than a prefix of version 1, so that a header behind the end is an error of the read.
    const ByteCount left = header < image_.size() ? image_.size() - header : 0;
    const auto prefix =
        std::span(bytes).first(std::min<ByteCount>(bytes.size(), std::max(left, ByteCount{kPrefix1})));
    PENSTOCK_RETURN_IF_ERROR(image_.read(header, prefix, kHeader));
    const bool second = ByteReader(prefix).match("OHDR");
    PENSTOCK_RETURN_IF_ERROR(second ? start2(header, prefix) : start1(header, prefix));
    // By number and with a copy of the block: block1() and block2() put further blocks into the vector.
    for (std::size_t b = 0; b < blocks_.size() && !stop_; ++b) {
      const Block block = blocks_[b];
      if (!image_.contains(block.address, block.bytes)) {
        return image_.corrupt(block.address, b == 0 ? kHeader : kContinuation,
                              fmt::format("{} bytes run past the end of the file", block.bytes));
      }
      if (block.bytes > image_.size() - visited_) {
        return image_.corrupt(block.address, kContinuation, "blocks overlap: more bytes than the file has");
      }
      visited_ += block.bytes;
      PENSTOCK_RETURN_IF_ERROR(second ? block2(block, b == 0) : block1(block));
    }
    return {};
  }

 private:
  // IV.A.1.a: version 1 | 0 | messages u16 | references u32 | bytes u32 | 4 of padding. The count of messages
  // is not used: libhdf5 reads all blocks to their end too, and tolerates counts that its own message merging
  // left too high.
  Status start1(Address header, std::span<const std::byte> prefix) {
    ByteReader r(prefix);
    const unsigned version = r.u8();
    if (version != 1) {
      return image_.corrupt(header, kHeader, fmt::format("expected version 1, found {}", version));
    }
    r.skip(1 + 2 + 4);
    blocks_.push_back({header + kPrefix1, r.u32()});
    seen_.insert(header + kPrefix1);
    return {};
  }

  // IV.A.1.b: "OHDR" | version 2 | flags | [4 times u32] | [phase change u16 x 2] | bytes of messages.
  Status start2(Address header, std::span<const std::byte> prefix) {
    ByteReader r(prefix);
    r.skip(4);
    const unsigned version = r.u8(), flags = r.u8();
    if (version != 2) {
      return image_.corrupt(header, kHeader, fmt::format("expected version 2, found {}", version));
    }
    if (flags & 0x20) r.skip(16);
    if (flags & 0x10) r.skip(4);
    const std::uint64_t bytes = r.uint(std::size_t{1} << (flags & 3));
    if (r.failed()) return image_.corrupt(header, kHeader, "truncated");
    ordered_ = (flags & 4) != 0;
    // The checksum covers the prefix, so the first block begins at the header, and not at its messages.
    prefix_bytes_ = r.position();
    const auto whole = checked_add(bytes, prefix_bytes_ + kChecksumBytes);
    if (!whole) return image_.corrupt(header, kHeader, fmt::format("{} bytes of messages", bytes));
    blocks_.push_back({header, *whole});
    seen_.insert(header);
    return {};
  }

  // Message: type u16 | bytes u16 | flags u8 | 3 reserved | body. Messages fill the block to its end, with
  // NIL ones where nothing is.
  Status block1(const Block& block) {
    for (std::uint64_t at = 0; at < block.bytes && !stop_;) {
      const Address here = block.address + at;
      if (block.bytes - at < kMessagePrefix1) {
        return image_.corrupt(here, kMessage,
                              fmt::format("{} bytes left in the block, expected {} or more", block.bytes - at,
                                          kMessagePrefix1));
      }
      std::array<std::byte, kMessagePrefix1> start;
      PENSTOCK_RETURN_IF_ERROR(image_.read(here, start, kMessage));
      ByteReader r(start);
      Message message;
      const std::uint16_t type = r.u16(), size = r.u16();
      message.type = static_cast<MessageType>(type);
      message.flags = r.u8();
      message.address = here + kMessagePrefix1;
      at += kMessagePrefix1;
      PENSTOCK_RETURN_IF_ERROR(check_size(here, type, size, block.bytes - at));
      at += size;
      if (!known(message)) {
        PENSTOCK_RETURN_IF_ERROR(skip_unknown(here, message));
        continue;
      }
      body_.resize(size);
      PENSTOCK_RETURN_IF_ERROR(image_.read(message.address, body_, kMessage));
      message.body = body_;
      PENSTOCK_RETURN_IF_ERROR(hand_out(here, message));
    }
    return {};
  }

  // Message: type u8 | bytes u16 | flags u8 | [creation order u16] | body. What is too short for one is a gap.
  Status block2(const Block& block, bool first) {
    const std::size_t head = first ? prefix_bytes_ : 4;
    if (block.bytes < head + kChecksumBytes) {
      return image_.corrupt(block.address, kContinuation, fmt::format("a block of {} bytes", block.bytes));
    }
    Reservation held;
    if (block.bytes > kFreeBytes && image_.budget() != nullptr) {
      PENSTOCK_ASSIGN_OR_RETURN(held, reserve_for(kHeader, *image_.budget(), MemoryTag::index, block.bytes));
    }
    std::vector<std::byte> bytes(block.bytes);
    PENSTOCK_RETURN_IF_ERROR(image_.read(block.address, bytes, kHeader));
    ByteReader r(bytes);
    const std::string_view signature = first ? "OHDR" : "OCHK";
    if (!r.match(signature)) {
      return image_.corrupt(block.address, kContinuation, fmt::format("expected signature {}", signature));
    }
    PENSTOCK_RETURN_IF_ERROR(verify_checksum(image_, bytes, block.address, first ? kHeader : kContinuation));
    r.skip(head - 4);
    const std::size_t message_prefix = ordered_ ? 6 : 4;
    // The last four bytes are the checksum.
    while (!stop_ && r.remaining() >= message_prefix + kChecksumBytes) {
      const Address here = block.address + r.position();
      Message message;
      const std::uint8_t type = r.u8();
      const std::uint16_t size = r.u16();
      message.type = static_cast<MessageType>(type);
      message.flags = r.u8();
      if (ordered_) r.skip(2);
      message.address = block.address + r.position();
      PENSTOCK_RETURN_IF_ERROR(check_size(here, type, size, r.remaining() - kChecksumBytes));
      message.body = r.bytes(size);
      PENSTOCK_RETURN_IF_ERROR(known(message) ? hand_out(here, message) : skip_unknown(here, message));
    }
    return {};
  }

  Status check_size(Address here, unsigned type, std::size_t size, std::uint64_t left) const {
    if (size <= left) return {};
    return image_.corrupt(
        here, kMessage,
        fmt::format("type 0x{:x} claims {} bytes, {} are left in the block", type, size, left));
  }

  static bool known(const Message& message) {
    return message.type != MessageType::nil && message.type <= MessageType::last_known;
  }

  Status skip_unknown(Address here, const Message& message) const {
    if (message.type == MessageType::nil || (message.flags & kFailIfUnknown) == 0) return {};
    return image_.unsupported(
        here, fmt::format("HDF5 header message type 0x{:x}", static_cast<unsigned>(message.type)));
  }

  // Continuations are followed after the block that names them, so messages come in the order of blocks.
  Status hand_out(Address here, const Message& message) {
    return message.type == MessageType::continuation ? add_block(here, message) : visit_(message, stop_);
  }

  Status add_block(Address here, const Message& message) {
    ByteReader r(message.body);
    Block next;
    next.address = image_.address(r);
    next.bytes = image_.length(r);
    if (r.failed()) return image_.corrupt(here, kContinuation, "truncated message");
    if (next.bytes == 0 || !seen_.insert(next.address).second) {
      return image_.corrupt(here, kContinuation,
                            next.bytes == 0 ? "the block is empty" : "the block was visited before");
    }
    if (blocks_.size() == kMostBlocks) {
      return image_.corrupt(here, kContinuation,
                            fmt::format("more than {} blocks in one header", kMostBlocks));
    }
    PENSTOCK_RETURN_IF_ERROR(reserve_block());
    blocks_.push_back(next);
    return {};
  }

  // Room for one more block: a hostile header may chain as many as its file has room for.
  Status reserve_block() {
    if (blocks_.size() < kFreeBlocks || image_.budget() == nullptr) return {};
    const std::size_t bytes = round_up(blocks_.size() + 1, kBlocksAtOnce) * kBytesOfBlock;
    if (bytes <= held_.bytes()) return {};
    constexpr std::string_view kWhat = "continuation blocks of an object header";
    if (held_.bytes() > 0) return resize_for(kWhat, *image_.budget(), held_, MemoryTag::index, bytes);
    PENSTOCK_ASSIGN_OR_RETURN(held_, reserve_for(kWhat, *image_.budget(), MemoryTag::index, bytes));
    return {};
  }

  const Image& image_;
  const MessageVisitor& visit_;
  bool ordered_ = false;  // version 2: messages say when they were made
  bool stop_ = false;
  std::size_t prefix_bytes_ = 0;
  Reservation held_;
  std::vector<Block> blocks_;
  std::unordered_set<Address> seen_;
  // Bytes of the blocks visited.
  std::uint64_t visited_ = 0;
  std::vector<std::byte> body_;
};

}  // namespace

Status visit_messages(const Image& image, Address header, const MessageVisitor& visit) {
  return Walk(image, visit).run(header);
}

Result<Address> shared_message_address(const Image& image, std::span<const std::byte> body, Address at) {
  ByteReader r(body);
  // Version | type u8 | address O of the header that has the message. Type 1 would be an id in a heap of
  // messages that many objects share.
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
