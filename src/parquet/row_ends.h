// Where each row's elements end, for storage without row offsets: 4 bytes a row and 8 per 1,024 rows.
//
// Thread contract: immutable once built. Memory: reserved by the caller (bytes()).
#pragma once

#include <cstdint>
#include <vector>

#include "base/types.h"

namespace penstock::parquet {

class RowEnds {
 public:
  static constexpr std::uint64_t kRows = 1024;  // rows that share a 64-bit base

  // The next row ends at element `end`. False when 1,024 rows have 2^32 elements or more.
  bool add(std::uint64_t end) {
    if (ends_.size() % kRows == 0) bases_.push_back(last_);
    if (end - bases_.back() > 0xffffffff) return false;
    ends_.push_back(static_cast<std::uint32_t>(end - bases_.back()));
    last_ = end;
    return true;
  }
  RowIndex rows() const { return ends_.size(); }
  std::uint64_t end(RowIndex row) const { return bases_[row / kRows] + ends_[row]; }
  std::uint64_t begin(RowIndex row) const { return row == 0 ? 0 : end(row - 1); }
  // The row that element `at` belongs to; `at` is below end(rows() - 1).
  RowIndex row_of(std::uint64_t at) const;

  static ByteCount bytes(RowIndex rows) { return rows * sizeof(std::uint32_t) + (rows / kRows + 1) * 8; }
  // Keeps room for so many rows.
  void reserve(RowIndex rows);

 private:
  std::vector<std::uint64_t> bases_;
  std::vector<std::uint32_t> ends_;
  std::uint64_t last_ = 0;
};

}  // namespace penstock::parquet
