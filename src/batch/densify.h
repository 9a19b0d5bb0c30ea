// Rows to dense. A slot is overwritten whole every time, since users write into tensors: the row is scattered
// into a private scratch that stays in L1 (16 KiB of columns at a time), streamed out past the caches, and
// unscattered.
//
// Pure kernels, as in compact_row.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/types.h"
#include "batch/compact_row.h"

namespace penstock::batch {

// row (n_cols elements of `type`, all zero on entry and again on exit) is the scratch; dst gets n_cols
// elements. ids are strictly ascending and < n_cols, as in every compact row (were they not, values would be
// lost, but nothing is written outside of row and dst).
void densify_row(const std::uint16_t* ids, const std::byte* values, ValueClass cls, std::size_t n,
                 NumericType type, std::byte* row, std::size_t n_cols, std::byte* dst);
void densify_row(const std::uint32_t* ids, const std::byte* values, ValueClass cls, std::size_t n,
                 NumericType type, std::byte* row, std::size_t n_cols, std::byte* dst);

// Copies n bytes with non-temporal stores where the target has them. Any alignment.
void stream_copy(std::byte* dst, const std::byte* src, std::size_t n);

// A CSR matrix that may have been in a user's hands. indptr (n_rows + 1) and indices (nnz) are i32 or i64.
struct CsrArrays {
  const std::byte* indptr = nullptr;
  const std::byte* indices = nullptr;
  NumericType index_type = NumericType::i32;
  const std::byte* values = nullptr;
  NumericType value_type = NumericType::f32;
  std::size_t nnz = 0, n_rows = 0, n_cols = 0;
};

// Its rows [first, last) to dense, converting values to out_type: `out` is (last - first) x n_cols. Columns
// of a row in any order, duplicates are summed. Parts of a matrix may be made by several threads at once.
// False when the rows are not those of a valid CSR matrix of that shape (users may have written into them):
// `out` is then unspecified.
bool densify_csr(const CsrArrays& csr, std::size_t first, std::size_t last, NumericType out_type,
                 std::byte* out);

}  // namespace penstock::batch
