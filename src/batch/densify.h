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

// A CSR batch to dense, converting values to out_type: out is n_rows x n_cols. indptr and indices are i32 or
// i64 (index_type). `row` is a scratch of n_cols elements of out_type, zero on entry and exit. False when the
// arrays are not a valid CSR matrix of that shape (users may have written into them); out is then unspecified
// and row is not restored.
bool densify_csr(const std::byte* indptr, const std::byte* indices, NumericType index_type,
                 const std::byte* values, NumericType value_type, std::size_t nnz, std::size_t n_rows,
                 std::size_t n_cols, NumericType out_type, std::byte* row, std::byte* out);

}  // namespace penstock::batch
