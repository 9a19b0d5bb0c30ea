// A bounded little-endian cursor over bytes from a file. Reading past the end never touches memory:
// it sets failed() and yields zeros, so that a parser can read a whole structure and check once.
//
//   ByteReader r(bytes);
//   const auto version = r.u8();
//   const auto length = r.u32();
//   if (r.failed()) return truncated(...);
//
// Thread contract: externally synchronised. Borrows the bytes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace penstock {

static_assert(std::endian::native == std::endian::little, "Penstock runs on little-endian machines");

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint8_t u8() { return fixed<std::uint8_t>(); }
  std::uint16_t u16() { return fixed<std::uint16_t>(); }
  std::uint32_t u32() { return fixed<std::uint32_t>(); }
  std::uint64_t u64() { return fixed<std::uint64_t>(); }

  // An unsigned integer of `width` bytes, 0 to 8.
  std::uint64_t uint(std::size_t width) {
    std::uint64_t value = 0;
    if (width > sizeof(value) || !take(width)) return 0;
    std::memcpy(&value, bytes_.data() + position_ - width, width);
    return value;
  }

  // The next n bytes (empty, and failed(), when there are fewer).
  std::span<const std::byte> bytes(std::size_t n) {
    if (!take(n)) return {};
    return bytes_.subspan(position_ - n, n);
  }

  std::string_view chars(std::size_t n) {
    const auto b = bytes(n);
    return {reinterpret_cast<const char*>(b.data()), b.size()};
  }

  bool skip(std::size_t n) { return take(n); }
  // True, and moves on, when the next bytes are `signature`.
  bool match(std::string_view signature) { return chars(signature.size()) == signature && !failed_; }

  std::size_t position() const { return position_; }
  std::size_t remaining() const { return failed_ ? 0 : bytes_.size() - position_; }
  bool failed() const { return failed_; }

 private:
  template <class T>
  T fixed() {
    T value{};
    if (take(sizeof(T))) std::memcpy(&value, bytes_.data() + position_ - sizeof(T), sizeof(T));
    return value;
  }
  bool take(std::size_t n) {
    if (failed_ || n > bytes_.size() - position_) {
      failed_ = true;
      return false;
    }
    position_ += n;
    return true;
  }

  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
  bool failed_ = false;
};

}  // namespace penstock
