// The values of one data page, whatever their encoding.
//
// Thread contract: externally synchronised. Borrows the page and the dictionary's tables. No allocation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "parquet/encodings/decode_error.h"
#include "parquet/encodings/indices.h"
#include "parquet/encodings/numbers.h"
#include "parquet/page.h"

namespace penstock::parquet {

inline bool is_dictionary_coded(Encoding encoding) {
  return encoding == Encoding::plain_dictionary || encoding == Encoding::rle_dictionary;
}

class PageValues {
 public:
  PageValues() = default;
  // `stored`: values that the page has (nulls have none).
  static DecodeError open(const Page& page, PhysicalType type, std::uint32_t dictionary_size,
                          std::uint64_t stored, PageValues* out);

  bool coded() const { return coded_; }
  std::uint64_t left() const { return left_; }
  // The next n <= left() values, looked up in a table; only when coded().
  template <class T>
  DecodeError gather(const T* table, T* out, std::uint64_t n) {
    left_ -= n;
    return indices_.gather(table, out, n);
  }
  // The next n <= left() values as stored; only when !coded().
  DecodeError read(std::byte* out, std::uint64_t n) {
    left_ -= n;
    return numbers_.read(out, n);
  }
  DecodeError skip(std::uint64_t n) {
    left_ -= n;
    return coded_ ? indices_.skip(n) : numbers_.skip(n);
  }

 private:
  bool coded_ = false;
  IndexReader indices_;
  NumberReader numbers_;
  std::uint64_t left_ = 0;
};

}  // namespace penstock::parquet
