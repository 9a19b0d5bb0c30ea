#include "parquet/thrift.h"

namespace penstock::parquet {
namespace {
constexpr int kMaxDepth = 32;
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

std::uint8_t ThriftReader::byte() {
  if (failed()) return 0;
  if (left() == 0) {
    end();
    return 0;
  }
  return static_cast<std::uint8_t>(bytes_[position_++]);
}

std::uint64_t ThriftReader::varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    const std::uint8_t b = byte();
    if (failed()) return 0;
    if (shift < 64) value |= static_cast<std::uint64_t>(b & 0x7f) << shift;
    if ((b & 0x80) == 0) return value;
  }
  fail("a number of more than 10 bytes");
  return 0;
}

bool ThriftReader::next_field(Field* field) {
  const std::uint8_t head = byte();
  if (failed() || (head & 0x0f) == kStop) return false;
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
  if (type == kByte) return static_cast<std::int8_t>(byte());
  if (type != kI16 && type != kI32 && type != kI64) {
    fail("a field that should be an integer is not");
    return 0;
  }
  return unzigzag(varint());
}

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
  if (size > left()) {  // an element takes at least a byte
    end();
    return out;
  }
  out.type = static_cast<Type>(head & 0x0f);
  out.size = static_cast<std::uint32_t>(size > 0xffffffff ? 0xffffffff : size);
  return out;
}

bool ThriftReader::enter() {
  if (failed()) return false;
  if (++depth_ <= kMaxDepth) return true;
  fail("structs nested deeper than 32");
  return false;
}

void ThriftReader::skip(Type type) { skip_value(type, false); }

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
      position_ += 8;
      return;
    case kBinary:
      binary(kBinary);
      return;
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
