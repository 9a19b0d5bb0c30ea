// Numbers of any width up to 64 bits, one behind the other in 64-bit words, the lowest bits first.
//
// Thread contract: reading is pure; a BitWriter belongs to one thread.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace penstock {

// The bits that hold every number up to `most`: 0 for 0.
inline unsigned bits_for(std::uint64_t most) { return static_cast<unsigned>(std::bit_width(most)); }

// The number of `width` bits that begins at bit `at`. It reads no word that none of its bits lies in.
inline std::uint64_t read_bits(const std::uint64_t* words, std::uint64_t at, unsigned width) {
  if (width == 0) return 0;
  const std::uint64_t* word = words + at / 64;
  const auto shift = static_cast<unsigned>(at % 64);
  std::uint64_t value = *word >> shift;
  if (shift + width > 64) value |= word[1] << (64 - shift);
  return width == 64 ? value : value & ((std::uint64_t{1} << width) - 1);
}

// Signed differences as unsigned numbers that are small where the difference is.
inline std::uint64_t zigzag(std::uint64_t difference) {
  return difference << 1 ^ (difference >> 63 ? ~std::uint64_t{0} : 0);
}
inline std::uint64_t unzigzag(std::uint64_t code) { return code >> 1 ^ (code & 1 ? ~std::uint64_t{0} : 0); }

// Appends to a vector of words, whose memory is the caller's business.
class BitWriter {
 public:
  // Begins with a new word.
  explicit BitWriter(std::vector<std::uint64_t>& words) : words_(words) {}

  // `value` has no bit above `width`.
  void put(std::uint64_t value, unsigned width) {
    if (width == 0) return;
    if (used_ == 64) {
      words_.push_back(0);
      used_ = 0;
    }
    words_.back() |= value << used_;
    if (used_ + width <= 64) {
      used_ += width;
      return;
    }
    const unsigned done = 64 - used_;
    words_.push_back(value >> done);
    used_ = width - done;
  }

 private:
  std::vector<std::uint64_t>& words_;
  unsigned used_ = 64;  // bits of the last word
};

}  // namespace penstock
