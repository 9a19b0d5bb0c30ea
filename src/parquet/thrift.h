// A bounded reader of the Thrift compact protocol (thrift-compact-protocol.md of apache/thrift), which
// Parquet's footer and page headers are written in.
//
// Nothing is trusted: varints end within 10 bytes, strings and lists fit the bytes that are left (an element
// takes at least one), nesting ends at 32. After a failure every call returns zeros or false; failed() says
// so once at the end.
//
// The bytes are in memory, or come piece by piece: what is skipped is then never in memory as a whole, and a
// string is only while it is the last one that binary() returned.
//
// Thread contract: externally synchronised. Borrows the bytes, or where they come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace penstock::parquet {

// Bytes that come piece by piece.
class ThriftPieces {
 public:
  virtual ~ThriftPieces() = default;
  // The next piece: it begins with the last `unread` bytes of the one before and has at least `wanted` bytes.
  // `pass` bytes between the two are left out. A shorter one means that the bytes cannot be had (the
  // implementation knows why). unread <= wanted; pass + wanted <= unread + left().
  virtual std::span<const std::byte> next(std::size_t unread, std::uint64_t pass, std::size_t wanted) = 0;
  // Bytes behind the last piece.
  virtual std::uint64_t left() const = 0;
};

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
  explicit ThriftReader(ThriftPieces& pieces) : pieces_(&pieces) {}

  // A struct's fields: for (Field f; in.next_field(&f);) switch (f.id) { ...; default: in.skip(f.type); }
  // *id is carried between calls: field numbers are stored as differences, so each struct starts with a fresh
  // Field.
  bool next_field(Field* field);
  std::int64_t integer(Type type);  // of kByte, kI16, kI32 or kI64; another type fails
  bool boolean(Type type);          // of a field: the value is its type
  // Valid until the next call.
  std::string_view binary(Type type);
  List list(Type type);
  void skip(Type type);

  // --- as Parquet's structs have them ---
  // A size or count of 32 bits, and one of 64: negative ones fail.
  std::uint32_t count(Type type, const char* otherwise = "a negative or too large size");
  std::uint64_t size(Type type);
  // An enum, of which every value up to 255 passes; fails with `beyond`.
  std::uint8_t code(Type type, const char* beyond);
  // A list of structs; fails with `otherwise`.
  List structs(Type type, const char* otherwise);
  // The fields of the struct that has begun: f(field) reads one and returns true, or false, and it is
  // skipped.
  template <class F>
  void fields(F&& f) {
    for (Field field; next_field(&field);) {
      if (!f(field)) skip(field.type);
    }
  }
  // A field that is a struct, one level deeper: its fields as above. Fails with `otherwise`.
  template <class F>
  void structure(Type type, const char* otherwise, F&& f) {
    if (type != kStruct) fail(otherwise);
    if (!enter()) return;
    fields(std::forward<F>(f));
    leave();
  }

  // Nesting, for structs read by hand: enter() is false (and failed) beyond 32.
  bool enter();
  void leave() { --depth_; }

  bool failed() const { return what_ != nullptr; }
  // True when the failure is that the bytes ended.
  bool truncated() const { return truncated_; }
  const char* what() const { return what_ == nullptr ? "" : what_; }
  std::uint64_t position() const { return before_ + position_; }
  // Bytes that were not read yet.
  std::uint64_t left() const {
    return bytes_.size() - position_ + (pieces_ == nullptr ? 0 : pieces_->left());
  }
  void fail(const char* what);

 private:
  void end();
  // Makes the next n <= left() bytes lie in bytes_; false (and failed) when they cannot be had.
  bool have(std::size_t n);
  void pass(std::uint64_t n);  // n <= left()
  std::uint8_t byte();
  std::uint64_t varint();
  void skip_value(Type type, bool in_list);

  ThriftPieces* pieces_ = nullptr;
  std::span<const std::byte> bytes_;  // all of them, or the piece at hand
  std::size_t position_ = 0;          // in bytes_
  std::uint64_t before_ = 0;          // bytes before bytes_
  int depth_ = 0;
  const char* what_ = nullptr;
  bool truncated_ = false;
};

}  // namespace penstock::parquet
