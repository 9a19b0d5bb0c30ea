// Parts and rows of selections, for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dataset/selection.h"

namespace penstock::internal::testing {

using Rows = std::vector<std::int64_t>;

// Files of so many rows, all selected, without a matrix.
inline Parts whole(const std::vector<std::uint64_t>& sizes) {
  Parts parts;
  RowIndex first = 0;
  for (const std::uint64_t n : sizes) {
    FilePart part;
    part.first_row = first;
    part.n_selected = n;
    first += n;
    parts.push_back(part);
  }
  return parts;
}

// Global numbers.
inline Rows rows_of(const Parts& parts) {
  Rows rows(selected_rows(parts));
  global_rows(parts, 0, rows);
  return rows;
}

inline std::shared_ptr<MemoryBudget> ample() { return MemoryBudget::create(100'000'000); }

}  // namespace penstock::internal::testing
