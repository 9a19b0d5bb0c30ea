// The three arrays of a sparse matrix as AnnData stores it, by rows (CSR) or by columns (CSC): data, indices and
// indptr, each of one dimension.
//
// Thread contract: pure functions.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/types.h"
#include "penstock/status.h"
#include "store/store.h"

namespace penstock::anndata {

struct CsrParts {
  std::shared_ptr<const store::Array> data, indices, indptr;
  RowIndex n_rows = 0;
  ColIndex n_cols = 0;
  std::string label;  // "file.h5ad: X"
};
// The same arrays, but indptr has an offset per column, and indices are row numbers.
using CscParts = CsrParts;

// Whether types, ranks and lengths are those of a matrix whose indptr has offsets for `along` things, called
// `what`: "rows". Errors: `corrupt`, and `unsupported` for a type.
Status check_sparse(const CsrParts& parts, std::uint64_t along, std::string_view what);

// "csr float32/int32, chunks of 17,078, deflate(4)"; `format`: "csr".
std::string describe_sparse(std::string_view format, const CsrParts& parts);

}  // namespace penstock::anndata
