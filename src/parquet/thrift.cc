// The compact protocol of Apache Thrift (thrift/doc/specs/thrift-compact-protocol.md), as far as Parquet's
// footers and page headers use it. A struct is a row of fields, each a byte of head and a value:
//
//     15 00      field 1 (1 more than 0), type 5 = i32, value 0: zigzag(0)
//     15 f4 01   field 2, i32, value 122: varint f4 01 = 0x74 + (1 << 7) = 244, and zigzag halves it
//     2c ...     field 4 (2 more), type 12 = a struct, whose fields count from 0 again
//     00         the end of the struct
//
// Nothing here trusts a length: a string, list or map that says more than is left ends the reading, and so
// does nesting beyond kMaxDepth, which would take the stack. After the first failure everything reads as 0,
// so that callers look once, at the end.
#include "parquet/thrift.h"

#include <limits>

namespace penstock::parquet {
namespace {
constexpr int kMaxDepth = 32;
// 0, 1, 2, 3, 4 -> 0, -1, 1, -2, 2: small numbers of either sign have short varints.
std::int64_t unzigzag(std::uint64_t v) {
  return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
}
}  // namespace

void ThriftReader::fail(const char* what) {
  if (what_ == nullptr) what_ = what;
}

void ThriftReader::end() {
  if (what_ == nullptr) truncated_ = true;
  fail("the bytes end inside it");
}

// A footer of many columns is not read at once (footer_pieces.h): bytes_ is the piece at hand, and the unread
// end of it is put before the next piece when a string lies across the two.
// Reading never goes back, so that what lies before position_ is given up for good, and `before_` keeps count
// of it for position().
bool ThriftReader::have(std::size_t n) {
  if (n <= bytes_.size() - position_) return true;
  const std::size_t unread = bytes_.size() - position_;
  before_ += position_;
  bytes_ = pieces_->next(unread, 0, n);
  position_ = 0;
  if (n > bytes_.size()) fail("its bytes cannot be had");
  return !failed();
}

// What is skipped beyond the piece at hand is not read from the file. The description that Arrow puts beside
// the schema is one long string, as long as the schema itself, and costs nothing for that reason.
void ThriftReader::pass(std::uint64_t n) {
  const std::size_t here = bytes_.size() - position_;
  if (n <= here) {
    position_ += n;
    return;
  }
  before_ += position_ + n;
  bytes_ = pieces_->next(0, n - here, 0);
  position_ = 0;
}

std::uint8_t ThriftReader::byte() {
  if (failed()) return 0;
  if (position_ == bytes_.size()) {
    // The bytes in memory are used up: they may go on in the file, or this is their end.
    if (left() == 0) end();
    if (failed() || !have(1)) return 0;
  }
  return static_cast<std::uint8_t>(bytes_[position_++]);
}

// 7 bits a byte, the lowest first; the highest bit of a byte says that another one follows.
std::uint64_t ThriftReader::varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    const std::uint8_t b = byte();
    if (failed()) return 0;
    // The tenth byte begins at bit 63. Of its bits only the lowest fits; the rest is dropped, as other
    // readers do.
    if (shift < 64) value |= static_cast<std::uint64_t>(b & 0x7f) << shift;
    if ((b & 0x80) == 0) return value;
  }
  fail("a number of more than 10 bytes");
  return 0;
}

// The upper half of the head says how much the field's number has grown; 0: the number itself follows.
bool ThriftReader::next_field(Field* field) {
  const std::uint8_t head = byte();
  if (failed() || (head & 0x0f) == kStop) return false;
  // A difference of 15 at most is added to an int32 in 64 bits, so that numbers near the limit cannot wrap
  // before they are checked.
  const std::int64_t id = head >> 4 != 0 ? std::int64_t{field->id} + (head >> 4) : unzigzag(varint());
  if (failed()) return false;
  if (id < -32768 || id > 32767) {
    fail("a field number beyond 16 bits");
    return false;
  }
  if ((head & 0x0f) > kStruct) {
    fail("a field of an unknown type");
    return false;
  }
  field->id = static_cast<std::int32_t>(id);
  field->type = static_cast<Type>(head & 0x0f);
  return true;
}

std::int64_t ThriftReader::integer(Type type) {
  // The specification: a byte is the only integer that is stored as it is.
  if (type == kByte) return static_cast<std::int8_t>(byte());
  if (type != kI16 && type != kI32 && type != kI64) {
    fail("a field that should be an integer is not");
    return 0;
  }
  return unzigzag(varint());
}

// A boolean of a struct has no value: its type says it. In a list it is a byte.
bool ThriftReader::boolean(Type type) {
  if (type != kTrue && type != kFalse) fail("a field that should be a boolean is not");
  return type == kTrue;
}

std::string_view ThriftReader::binary(Type type) {
  if (type != kBinary) {
    fail("a field that should be a string is not");
    return {};
  }
  const std::uint64_t size = varint();
  if (failed()) return {};
  if (size > left()) {
    end();
    return {};
  }
  if (!have(size)) return {};
  const std::string_view out(reinterpret_cast<const char*>(bytes_.data()) + position_, size);
  position_ += size;
  return out;
}

ThriftReader::List ThriftReader::list(Type type) {
  List out;
  if (type != kList && type != kSet) {
    fail("a field that should be a list is not");
    return out;
  }
  const std::uint8_t head = byte();
  std::uint64_t size = head >> 4;
  if (size == 15) size = varint();
  if (failed()) return out;
  // This bounds every loop over a list, and every vector that is sized by one, with the length of the footer.
  // Booleans and empty structs take a byte each, and nothing takes less.
  if (size > left()) {  // an element takes at least a byte
    end();
    return out;
  }
  out.type = static_cast<Type>(head & 0x0f);
  out.size = static_cast<std::uint32_t>(size > 0xffffffff ? 0xffffffff : size);
  return out;
}

std::uint32_t ThriftReader::count(Type type, const char* otherwise) {
  const std::int64_t value = integer(type);
  if (value >= 0 && value <= std::numeric_limits<std::int32_t>::max()) {
    return static_cast<std::uint32_t>(value);
  }
  fail(otherwise);
  return 0;
}

std::uint64_t ThriftReader::size(Type type) {
  const std::int64_t value = integer(type);
  if (value < 0) fail("a negative size or count");
  return value < 0 ? 0 : static_cast<std::uint64_t>(value);
}

// Enums are i32 in Thrift. What is beyond the known values is kept, for a message that can name it.
std::uint8_t ThriftReader::code(Type type, const char* beyond) {
  const std::int64_t value = integer(type);
  if (value < 0 || value > 255) fail(beyond);
  return static_cast<std::uint8_t>(value);
}

ThriftReader::List ThriftReader::structs(Type type, const char* otherwise) {
  const List out = list(type);
  if (out.size > 0 && out.type != kStruct) fail(otherwise);
  return out;
}

bool ThriftReader::enter() {
  if (failed()) return false;
  if (++depth_ <= kMaxDepth) return true;
  fail("structs nested deeper than 32");
  return false;
}

void ThriftReader::skip(Type type) { skip_value(type, false); }

// A value of any type, without looking at it. The one difference between fields and elements of a list is the
// boolean: a field's is in its type, an element takes a byte. Recursion is bounded by enter().
void ThriftReader::skip_value(Type type, bool in_list) {
  switch (type) {
    case kTrue:
    case kFalse:
      if (in_list) byte();
      return;
    case kByte:
      byte();
      return;
    case kI16:
    case kI32:
    case kI64:
      varint();
      return;
    case kDouble:
      if (left() < 8) return end();
      pass(8);
      return;
    case kBinary: {
      const std::uint64_t size = varint();
      if (failed()) return;
      if (size > left()) return end();
      pass(size);
      return;
    }
    case kList:
    case kSet: {
      const List items = list(type);
      if (!enter()) return;
      for (std::uint32_t i = 0; i < items.size && !failed(); ++i) skip_value(items.type, true);
      leave();
      return;
    }
    case kMap: {
      const std::uint64_t size = varint();
      // An empty map is a single 0: the byte of the two types is left out.
      if (failed() || size == 0) return;
      if (size > left()) return end();
      const std::uint8_t types = byte();
      if (!enter()) return;
      for (std::uint64_t i = 0; i < size && !failed(); ++i) {
        skip_value(static_cast<Type>(types >> 4), true);
        skip_value(static_cast<Type>(types & 0x0f), true);
      }
      leave();
      return;
    }
    case kStruct: {
      if (!enter()) return;
      Field field;
      while (next_field(&field)) skip_value(field.type, false);
      leave();
      return;
    }
    default:
      fail("a value of an unknown type");
  }
}

}  // namespace penstock::parquet
