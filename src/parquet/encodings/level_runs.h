// Levels one after the other, by runs of one value, and which elements of a list page exist.
//
// Thread contract: externally synchronised. Borrows the bytes; no allocation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "parquet/encodings/decode_error.h"
#include "parquet/encodings/hybrid.h"
#include "parquet/encodings/levels.h"

namespace penstock::parquet {

class LevelRuns {
 public:
  LevelRuns(std::span<const std::byte> bytes, std::uint8_t max)
      : reader_(bytes, level_width(max)), max_(max) {}

  // The next level, and how many more of the same follow it at least (count >= 1).
  DecodeError peek(std::uint8_t* level, std::uint64_t* count) {
    if (left_ == 0) {
      const DecodeError error = fill();
      if (error != DecodeError::ok) return error;
    }
    *level = static_cast<std::uint8_t>(same_ ? value_ : buffer_[at_]);
    *count = same_ ? left_ : 1;
    return *level <= max_ ? DecodeError::ok : DecodeError::out_of_range;
  }
  void pass(std::uint64_t n) {
    left_ -= n;
    at_ += n;
  }

 private:
  static constexpr std::uint64_t kPiece = 512;

  DecodeError fill() {
    HybridReader::Piece piece;
    if (max_ == 0) {
      same_ = true;
      value_ = 0;
      left_ = ~std::uint64_t{0};
      return DecodeError::ok;
    }
    const DecodeError error = reader_.take(kPiece, &piece);
    if (error != DecodeError::ok) return error;
    at_ = 0;
    left_ = piece.count;
    same_ = !piece.packed;
    value_ = piece.value;
    // Narrow levels: a few bytes.
    if (piece.packed) {
      const auto width = static_cast<std::uint64_t>(reader_.width());
      for (std::uint64_t i = 0; i < piece.count; ++i) {
        const std::uint64_t bit = (piece.skip + i) * width;
        std::uint32_t value = 0;
        for (std::uint64_t b = 0; b < width; ++b) {
          value |= (static_cast<std::uint32_t>(piece.bytes[(bit + b) / 8]) >> ((bit + b) % 8) & 1U) << b;
        }
        buffer_[i] = static_cast<std::uint8_t>(value);
      }
    }
    return DecodeError::ok;
  }

  HybridReader reader_;
  std::uint8_t max_;
  bool same_ = true;
  std::uint32_t value_ = 0;
  std::uint64_t left_ = 0, at_ = 0;
  std::uint8_t buffer_[kPiece];
};

// Which elements of a list page (rows x elements, in order) have a value, piece by piece.
class ElementPresence {
 public:
  ElementPresence() : runs_({}, 0) {}
  ElementPresence(std::span<const std::byte> def, std::uint8_t max_def, std::uint8_t element_def)
      : runs_(def, max_def), max_def_(max_def), element_def_(element_def) {}

  // The next present.size() elements: 1 where there is a value, and how many have one. Levels of empty and
  // missing lists lie between them and are passed over.
  DecodeError take(std::span<std::uint8_t> present, std::uint64_t* n_present) {
    *n_present = 0;
    for (std::uint64_t i = 0; i < present.size();) {
      std::uint8_t level = 0;
      std::uint64_t count = 0;
      const DecodeError error = runs_.peek(&level, &count);
      if (error != DecodeError::ok) return error;
      if (level >= element_def_) {
        count = std::min<std::uint64_t>(count, present.size() - i);
        std::fill_n(present.begin() + static_cast<std::ptrdiff_t>(i), count, level == max_def_ ? 1 : 0);
        *n_present += level == max_def_ ? count : 0;
        i += count;
      }
      runs_.pass(count);
    }
    return DecodeError::ok;
  }

 private:
  LevelRuns runs_;
  std::uint8_t max_def_ = 0, element_def_ = 0;
};

}  // namespace penstock::parquet
