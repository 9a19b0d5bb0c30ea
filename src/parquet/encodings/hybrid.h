// The RLE / bit-packed hybrid (Encodings.md: RLE = 3): runs of one value, and groups of 8 packed LSB first.
//
// Thread contract: externally synchronised. Borrows the bytes. Never reads outside of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "parquet/encodings/decode_error.h"

namespace penstock::parquet {

struct HybridRun {
  std::uint64_t count = 0;  // values; of a packed run maybe up to 7 more than the page has
  bool packed = false;
  std::uint32_t value = 0;           // of every value, when !packed
  std::span<const std::byte> bytes;  // when packed: ceil(count * width / 8) of them, fewer when truncated
};

class HybridReader {
 public:
  HybridReader() = default;
  // width: bits of a value, 0 to 32 (0: every value is 0, also without any bytes).
  HybridReader(std::span<const std::byte> bytes, int width) : bytes_(bytes), width_(width) {}

  // The next run as it is stored; `truncated` at the end of the bytes, `bad_header` when it cannot be.
  // Not to be mixed with read() and skip() on one reader.
  DecodeError next(HybridRun* out);
  // The next out.size() values; more values than there are is `truncated`.
  DecodeError read(std::span<std::uint32_t> out);
  DecodeError skip(std::uint64_t n);

  // A part of a run, at most n > 0 values of it.
  struct Piece {
    std::uint64_t count = 0;
    bool packed = false;
    std::uint32_t value = 0;           // when !packed
    const std::byte* bytes = nullptr;  // when packed: skip values, which were taken before, then `count`
    std::uint64_t skip = 0;            // below 8
    std::size_t readable = 0;          // bytes from there on to the end of all
  };
  DecodeError take(std::uint64_t n, Piece* out);

  int width() const { return width_; }

 private:
  std::span<const std::byte> bytes_;
  int width_ = 0;
  std::size_t position_ = 0;
  HybridRun run_;           // what is left of the current run
  std::uint64_t used_ = 0;  // values of it that were taken
};

}  // namespace penstock::parquet
