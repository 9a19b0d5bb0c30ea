// Object headers, versions 1 and 2 (HDF5 spec IV.A.1) with their continuation blocks (IV.A.2.q).
#pragma once

#include <functional>

#include "hdf5/image.h"

namespace penstock::hdf5 {

enum class MessageType : std::uint16_t {
  nil = 0x00,
  dataspace = 0x01,
  link_info = 0x02,
  datatype = 0x03,
  old_fill_value = 0x04,
  fill_value = 0x05,
  link = 0x06,
  external_files = 0x07,
  layout = 0x08,
  filter_pipeline = 0x0b,
  attribute = 0x0c,
  continuation = 0x10,
  symbol_table = 0x11,
  shared_table = 0x0f,
  btree_k = 0x13,
  driver_info = 0x14,
  attribute_info = 0x15,
  last_known = 0x18,
};

struct Message {
  MessageType type = MessageType::nil;
  std::uint8_t flags = 0;
  Address address = 0;                              // of the body
  std::span<const std::byte> body;                  // valid during the visit
  bool shared() const { return (flags & 2) != 0; }  // the body is a reference to where the message is
};

// Called with each message but NIL and continuations; sets `stop` to end the visit early.
using MessageVisitor = std::function<Status(const Message&, bool& stop)>;

// Of version 1 one message is read at a time, so that a header costs at most 64 KB of memory; of version 2 a
// block, whose checksum is verified first, and what is above 64 KB of it is taken from the image's budget, as
// are more than 64 blocks. Work is bounded by the size of the file: each block is visited once and their bytes
// together fit in it.
Status visit_messages(const Image& image, Address header, const MessageVisitor& visit);

// The body of a shared message (IV.A.2, "shared message"): the header that holds the message itself.
Result<Address> shared_message_address(const Image& image, std::span<const std::byte> body, Address at);

}  // namespace penstock::hdf5
