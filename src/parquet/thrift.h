// A bounded reader of the Thrift compact protocol (thrift-compact-protocol.md of apache/thrift), which
// Parquet's footer and page headers are written in.
//
// Nothing is trusted: varints end within 10 bytes, strings and lists fit the bytes that are left (an element
// takes at least one), nesting ends at 32. After a failure every call returns zeros or false; failed() says
// so once at the end.
//
// Thread contract: externally synchronised. Borrows the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace penstock::parquet {

class ThriftReader {
 public:
  enum Type : std::uint8_t {
    kStop = 0,
    kTrue = 1,
    kFalse = 2,
    kByte = 3,
    kI16 = 4,
    kI32 = 5,
    kI64 = 6,
    kDouble = 7,
    kBinary = 8,
    kList = 9,
    kSet = 10,
    kMap = 11,
    kStruct = 12,
  };
  struct Field {
    std::int32_t id = 0;
    Type type = kStop;
  };
  struct List {
    Type type = kStop;
    std::uint32_t size = 0;
  };

  explicit ThriftReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  // A struct's fields: for (Field f; in.next_field(&f);) switch (f.id) { ...; default: in.skip(f.type); }
  // *id is carried between calls: field numbers are stored as differences, so each struct starts with a fresh
  // Field.
  bool next_field(Field* field);
  std::int64_t integer(Type type);  // of kByte, kI16, kI32 or kI64; another type fails
  bool boolean(Type type);          // of a field: the value is its type
  std::string_view binary(Type type);
  List list(Type type);
  void skip(Type type);

  // Nesting, for structs read by hand: enter() is false (and failed) beyond 32.
  bool enter();
  void leave() { --depth_; }

  bool failed() const { return what_ != nullptr; }
  // True when the failure is that the bytes ended.
  bool truncated() const { return truncated_; }
  const char* what() const { return what_ == nullptr ? "" : what_; }
  std::size_t position() const { return position_; }
  void fail(const char* what);

 private:
  std::size_t left() const { return bytes_.size() - position_; }
  void end();
  std::uint8_t byte();
  std::uint64_t varint();
  void skip_value(Type type, bool in_list);

  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
  int depth_ = 0;
  const char* what_ = nullptr;
  bool truncated_ = false;
};

}  // namespace penstock::parquet
