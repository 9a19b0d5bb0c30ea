#include "parquet/row_ends.h"

namespace penstock::parquet {

void RowEnds::reserve(RowIndex rows) {
  bases_.reserve(rows / kRows + 1);
  ends_.reserve(rows);
}

RowIndex RowEnds::row_of(std::uint64_t at) const {
  RowIndex low = 0, high = ends_.size();
  while (low < high) {
    const RowIndex middle = low + (high - low) / 2;
    if (end(middle) <= at) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace penstock::parquet
