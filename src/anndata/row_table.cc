// With indptr = 0 3 6 8 12 and chunks of 4 elements, whose edges are 0, 4 and 8:
//
//     first_rows_   0 2 3       rows 0, 2 and 3 are the first to begin at or behind 0, 4 and 8
//     exact_        1 0 1       row 2 begins with element 6, the others on the edge
//
// Rows [1, 3) have elements 3 to 7. chunk_of(1) is 0, chunk_of(3) is 2, and row 3 begins on the edge of chunk
// 2: they lie in chunks 0 and 1.
#include "anndata/row_table.h"

#include <algorithm>
#include <new>

#include "base/checked.h"

namespace penstock::anndata {

Result<std::shared_ptr<RowTable>> RowTable::create(std::uint64_t entries, std::uint64_t chunk_elements,
                                                   MemoryBudget& budget) {
  const std::uint64_t n = ceil_div(entries, chunk_elements);
  std::shared_ptr<RowTable> table(new RowTable);
  // Cannot overflow: n <= 2^61 as entries have a size in bytes that fits 64 bits, and a refusal comes first.
  const auto bytes = checked_mul(n, sizeof(std::uint32_t) + 1);
  if (!bytes) return Status::corrupt("more chunks than a file can have");
  PENSTOCK_ASSIGN_OR_RETURN(table->reservation_, budget.reserve(MemoryTag::index, *bytes));
  try {
    table->first_rows_.resize(n);
    table->exact_.resize(ceil_div(n, 64));
  } catch (const std::bad_alloc&) {
    return Status::budget("the system has no memory for the row table of a matrix");
  }
  table->entries_ = entries;
  table->chunk_elements_ = chunk_elements;
  table->n_chunks_ = n;
  return table;
}

std::uint64_t RowTable::chunk_of(RowIndex row) const {
  // first_rows_[j] <= row says indptr[row] >= j * chunk_elements, so the last such j is the chunk.
  const auto after = std::upper_bound(first_rows_.begin(), first_rows_.end(), row);
  return static_cast<std::uint64_t>(after - first_rows_.begin()) - 1;
}

ChunkSpan RowTable::chunks(RowRange rows) const {
  if (n_chunks_ == 0 || rows.first >= rows.last) return {};
  const std::uint64_t first = chunk_of(rows.first);
  const std::uint64_t end_chunk = chunk_of(rows.last);
  // The row behind the range begins exactly on the edge of its chunk, so nothing of that chunk belongs to the
  // range. Were it not for the exact bits, every such range would read a chunk too many.
  const bool starts_there =
      first_rows_[end_chunk] == rows.last && (exact_[end_chunk / 64] >> end_chunk % 64 & 1);
  return {first, starts_there ? end_chunk : end_chunk + 1};
}

RowIndex RowTable::cut(RowIndex first, RowIndex target, RowIndex n_rows) const {
  const RowIndex aim = target < n_rows - first ? first + std::max<RowIndex>(target, 1) : n_rows;
  if (aim >= n_rows) return n_rows;
  // The first rows of two neighbouring chunks are the nearest boundaries on both sides of the aim. The lower
  // one counts only if it leaves rows to the block.
  const auto above = std::lower_bound(first_rows_.begin(), first_rows_.end(), aim);
  const RowIndex high = above == first_rows_.end() ? n_rows : *above;
  if (above == first_rows_.begin()) return high;
  const RowIndex low = *std::prev(above);
  return low > first && aim - low <= high - aim ? low : high;
}

}  // namespace penstock::anndata
