// Dictionary-coded values of one data page (PLAIN_DICTIONARY, RLE_DICTIONARY): a width byte, then the hybrid.
//
// This is the hot loop of single-cell Parquet: gather() unpacks with SIMD, checks the bound once per run or
// group and looks the values up in a table of the final type.
// Thread contract: externally synchronised. Borrows bytes and tables. No allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "parquet/encodings/decode_error.h"
#include "parquet/encodings/hybrid.h"

namespace penstock::parquet {

class IndexReader {
 public:
  IndexReader() = default;
  // `values`: the value section of the page. `bad_width` for a width above 32; an empty section is legal for
  // a page without values.
  static DecodeError open(std::span<const std::byte> values, std::uint32_t dictionary_size, IndexReader* out);

  // The next n values: out[i] = table[index]. table has dictionary_size entries. T: uint8_t, uint16_t,
  // uint32_t, uint64_t (copy floats as the integers of their size). `out_of_range` when an index is not below
  // dictionary_size (then what of `out` is written is unspecified).
  template <class T>
  DecodeError gather(const T* table, T* out, std::uint64_t n);
  // The indices themselves.
  DecodeError read(std::span<std::uint32_t> out);
  DecodeError skip(std::uint64_t n);

 private:
  template <class F, class G>
  DecodeError for_each(std::uint64_t n, F&& f, G&& same);

  HybridReader runs_;
  std::uint32_t dictionary_size_ = 0;
};

}  // namespace penstock::parquet
