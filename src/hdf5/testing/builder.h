// Writes small HDF5 files of the old kind in memory, well-formed or not: what h5py cannot be made to write.
// Tests only. Sizes of offsets and lengths are 8.
//
//   FileBuilder f;
//   const auto data = f.dataset({f.dataspace({4}), f.int_type(), f.contiguous(f.append(bytes), 16)});
//   auto root = f.open(f.group({{"data", data}}));
#pragma once

#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hdf5/hdf5.h"
#include "hdf5/object_header.h"
#include "io/testing/memory_file.h"

namespace penstock::hdf5 {

// Little-endian bytes, field by field.
class Bytes {
 public:
  Bytes& u8(std::uint64_t v) { return put(v, 1); }
  Bytes& u16(std::uint64_t v) { return put(v, 2); }
  Bytes& u32(std::uint64_t v) { return put(v, 4); }
  Bytes& u64(std::uint64_t v) { return put(v, 8); }
  Bytes& text(std::string_view s) {
    for (const char c : s) bytes_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  Bytes& zeros(std::size_t n) {
    bytes_.resize(bytes_.size() + n);
    return *this;
  }
  Bytes& add(const Bytes& other) {
    bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
    return *this;
  }
  Bytes& pad8() { return zeros((8 - bytes_.size() % 8) % 8); }
  std::size_t size() const { return bytes_.size(); }
  const std::vector<std::byte>& get() const { return bytes_; }

 private:
  Bytes& put(std::uint64_t v, int width) {
    for (int i = 0; i < width; ++i) bytes_.push_back(static_cast<std::byte>(v >> (8 * i)));
    return *this;
  }
  std::vector<std::byte> bytes_;
};

struct BuiltMessage {
  std::uint16_t type = 0;
  Bytes body;
  std::uint8_t flags = 0;
};

class FileBuilder {
 public:
  FileBuilder() : bytes_(96) {}

  Address append(const Bytes& b) {
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
    const Address at = bytes_.size();
    bytes_.insert(bytes_.end(), b.get().begin(), b.get().end());
    return at;
  }
  void overwrite(Address at, const Bytes& b) { std::memcpy(bytes_.data() + at, b.get().data(), b.size()); }
  std::size_t size() const { return bytes_.size(); }

  static BuiltMessage message(MessageType type, Bytes body, std::uint8_t flags = 0) {
    return {static_cast<std::uint16_t>(type), std::move(body), flags};
  }
  static Bytes block(const std::vector<BuiltMessage>& messages) {
    Bytes b;
    for (const auto& m : messages) {
      Bytes body = m.body;
      body.pad8();
      b.u16(m.type).u16(body.size()).u8(m.flags).zeros(3).add(body);
    }
    return b;
  }
  Address header(const std::vector<BuiltMessage>& messages) {
    const Bytes b = block(messages);
    return append(Bytes().u8(1).u8(0).u16(messages.size()).u32(1).u32(b.size()).u32(0).add(b));
  }

  static BuiltMessage dataspace(const std::vector<std::uint64_t>& dims) {
    Bytes b;
    b.u8(1).u8(dims.size()).u8(0).u8(0).u32(0);
    for (const auto n : dims) b.u64(n);
    return message(MessageType::dataspace, b);
  }
  static Bytes int_type_bytes() { return Bytes().u8(0x10).u8(8).u16(0).u32(4).u16(0).u16(32); }
  static BuiltMessage int_type() { return message(MessageType::datatype, int_type_bytes()); }
  static BuiltMessage contiguous(Address at, std::uint64_t bytes) {
    return message(MessageType::layout, Bytes().u8(3).u8(1).u64(at).u64(bytes));
  }
  static BuiltMessage chunked(Address tree, const std::vector<std::uint32_t>& dims, std::uint32_t item = 4) {
    Bytes b;
    b.u8(3).u8(2).u8(dims.size() + 1).u64(tree);
    for (const auto n : dims) b.u32(n);
    return message(MessageType::layout, b.u32(item));
  }
  static BuiltMessage deflate() {
    return message(
        MessageType::filter_pipeline,
        Bytes().u8(1).u8(1).zeros(6).u16(1).u16(8).u16(1).u16(1).text("deflate").u8(0).u32(4).u32(0));
  }

  struct Chunk {
    std::vector<std::uint64_t> origin;
    std::uint32_t stored = 0, mask = 0;
    Address address = 0;
  };
  // A node of a chunk B-tree; its full size of 64 entries is allocated.
  Address chunk_node(unsigned level, const std::vector<Chunk>& chunks, std::size_t rank, unsigned type = 1) {
    Bytes b;
    b.text("TREE").u8(type).u8(level).u16(chunks.size()).u64(kUndefined).u64(kUndefined);
    for (const auto& c : chunks) {
      b.u32(c.stored).u32(c.mask);
      for (const auto n : c.origin) b.u64(n);
      b.u64(0).u64(c.address);
    }
    const std::size_t full = 24 + 64 * 8 + 65 * (8 + 8 * (rank + 1));
    return append(b.zeros(full - b.size()));
  }

  struct Symbol {
    std::string name;
    Address header = 0;
    std::string soft = {};  // target of a soft link
  };
  // One symbol table node under one B-tree node, in the order given.
  Address group(const std::vector<Symbol>& symbols, std::vector<BuiltMessage> more = {}) {
    Bytes names, entries;
    names.zeros(8);
    entries.text("SNOD").u8(1).u8(0).u16(symbols.size());
    for (const auto& s : symbols) {
      const std::size_t name = names.size();
      names.text(s.name).u8(0).pad8();
      entries.u64(name);
      if (s.soft.empty()) {
        entries.u64(s.header).u32(0).u32(0).zeros(16);
      } else {
        entries.u64(kUndefined).u32(2).u32(0).u32(names.size()).zeros(12);
        names.text(s.soft).u8(0).pad8();
      }
    }
    entries.zeros(8 + 8 * 40 > entries.size() ? 8 + 8 * 40 - entries.size() : 0);
    const Address data = append(names);
    heap = append(Bytes().text("HEAP").u32(0).u64(names.size()).u64(kUndefined).u64(data));
    snod = append(entries);
    Bytes node;
    node.text("TREE").u8(0).u8(0).u16(1).u64(kUndefined).u64(kUndefined).u64(0).u64(snod).u64(8);
    tree = append(node.zeros(24 + 65 * 8 - node.size()));
    more.push_back(message(MessageType::symbol_table, Bytes().u64(tree).u64(heap)));
    return header(more);
  }
  Address heap = 0, snod = 0, tree = 0;  // of the last group

  // Adds the superblock. `offset_size` and `version` only go into its fields.
  std::vector<std::byte> finish(Address root, unsigned version = 0, unsigned offset_size = 8) {
    Bytes b;
    b.text("\x89HDF\r\n\x1a\n")
        .u8(version)
        .u8(0)
        .u8(0)
        .u8(0)
        .u8(0)
        .u8(offset_size)
        .u8(8)
        .u8(0)
        .u16(4)
        .u16(16)
        .u32(0);
    b.u64(0).u64(kUndefined).u64(bytes_.size()).u64(kUndefined).u64(0).u64(root).zeros(24);
    overwrite(0, b);
    return bytes_;
  }

  static Result<std::shared_ptr<const store::Group>> open_bytes(
      std::vector<std::byte> bytes, std::shared_ptr<MemoryBudget> budget = nullptr) {
    const auto file = std::make_shared<const testing::MemoryFile>(std::move(bytes), "f.h5");
    store::OpenLimits limits;
    limits.index_budget = budget ? budget : MemoryBudget::create(16 << 20);
    limits.opener = [file](const std::string&) { return Result<std::shared_ptr<const File>>(file); };
    return hdf5::open("f.h5", limits);
  }
  Result<std::shared_ptr<const store::Group>> open(Address root,
                                                   std::shared_ptr<MemoryBudget> budget = nullptr) {
    return open_bytes(finish(root), std::move(budget));
  }
  // The one dataset "x" of a file.
  Result<std::shared_ptr<const store::Node>> open_dataset(const std::vector<BuiltMessage>& messages,
                                                          std::shared_ptr<MemoryBudget> budget = nullptr) {
    const Address x = header(messages);
    PENSTOCK_ASSIGN_OR_RETURN(const auto root, open(group({{.name = "x", .header = x}}), std::move(budget)));
    return root->child("x");
  }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace penstock::hdf5
