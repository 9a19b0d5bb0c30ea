// Which rows lie in which chunk of a 1-d array of stored entries: 4 bytes and a bit a chunk, instead of 8
// bytes a row. With it, the chunks of any row range are known without indptr in memory.
//
// Built in one pass over indptr, immutable and thread-safe afterwards.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/types.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::anndata {

// Chunks [first, last).
struct ChunkSpan {
  std::uint64_t first = 0, last = 0;
  bool empty() const { return first >= last; }
};

class RowTable {
 public:
  // A table for `entries` elements in chunks of `chunk_elements` (> 0), reserved under `index`.
  static Result<std::shared_ptr<RowTable>> create(std::uint64_t entries, std::uint64_t chunk_elements,
                                                  MemoryBudget& budget);

  // Row numbers ascending from 0, each with indptr[row]; the row after the last comes too.
  void add(std::uint32_t row, std::uint64_t offset) {
    while (next_start_ <= offset && next_ < n_chunks_) {
      first_rows_[next_] = row;
      if (next_start_ == offset) exact_[next_ / 64] |= std::uint64_t{1} << next_ % 64;
      ++next_;
      next_start_ += chunk_elements_;
    }
  }

  std::uint64_t entries() const { return entries_; }
  std::uint64_t chunk_elements() const { return chunk_elements_; }
  std::uint64_t n_chunks() const { return n_chunks_; }

  // The first row that begins at or after the chunk's first element.
  RowIndex first_row(std::uint64_t chunk) const { return first_rows_[chunk]; }
  // The chunk that holds element indptr[row] (the last chunk when there is no such element). n_chunks() > 0.
  std::uint64_t chunk_of(RowIndex row) const;
  // The chunks that hold the entries of rows [first, last); at most one chunk more than that where empty rows
  // lie on a chunk's edge.
  ChunkSpan chunks(RowRange rows) const;
  // The first row of a chunk that is nearest to first + target and > first; n_rows counts as one.
  RowIndex cut(RowIndex first, RowIndex target, RowIndex n_rows) const;

 private:
  RowTable() = default;

  std::uint64_t entries_ = 0, chunk_elements_ = 1, n_chunks_ = 0;
  // first_rows_[j]: the first row with indptr[row] >= j * chunk_elements; the exact bit: equal.
  std::vector<std::uint32_t> first_rows_;
  std::vector<std::uint64_t> exact_;
  Reservation reservation_;
  std::uint64_t next_ = 0, next_start_ = 0;  // of add()
};

}  // namespace penstock::anndata
