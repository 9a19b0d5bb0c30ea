// Where the rows of triplets end. The file does not say so: it has a row number for each entry. 100 million
// rows would take 800 MB as 64-bit numbers. As 32-bit distances from a base that 1,024 rows share they take
// half, at the price that these rows must have fewer than 2^32 elements together (4 million each: no matrix
// of genes is so wide).
#include "parquet/row_ends.h"

namespace penstock::parquet {

void RowEnds::reserve(RowIndex rows) {
  bases_.reserve(rows / kRows + 1);
  ends_.reserve(rows);
}

// The first row that ends behind `at`: empty rows before it end at or before `at`, and are passed over.
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
