// CSR batches as dense ones: made by the loader's threads, in buffers that the loader keeps.
//
//   penstock::Densifier densifier = loader->densifier();
//   PENSTOCK_ASSIGN_OR_RETURN(penstock::DenseArray x, densifier.densify(penstock::csr_of(batch),
//   ArrayType::f32)); use(x.values);                     // n_rows x n_cols, C order; the buffer returns when
//   x.owner dies
//
// A gigabyte of fresh memory costs the system several times what filling it does. So a loader sets buffers
// aside where its budget has room for them (Plan::dense_buffers), and uses one again when the last owner of
// what is in it is gone. Otherwise the result is in fresh memory, outside the budget, or in the caller's own.
//
// Thread contract: thread-safe; a Densifier may outlive its loader, and then works on the caller's thread.
// Layer: engine.
#pragma once

#include <cstdint>
#include <memory>

#include "penstock/batch.h"
#include "penstock/status.h"

namespace penstock {

namespace internal {
class DensifierImpl;
}

// n_rows + 1, nnz and nnz elements; indptr and indices are i32 or i64.
struct CsrView {
  ArrayView indptr, indices, values;
  std::uint64_t n_rows = 0, n_cols = 0;
};
CsrView csr_of(const Batch& batch);

struct DenseArray {
  ArrayView values;  // n_rows x n_cols
  std::shared_ptr<void> owner;
};

class Densifier {
 public:
  // Of no loader: the caller's thread, fresh memory.
  Densifier();
  explicit Densifier(std::shared_ptr<internal::DensifierImpl> impl) : impl_(std::move(impl)) {}

  // Values are converted to `type` as numpy's astype does; columns of a row may come in any order, and
  // duplicates are summed. Errors: unsupported (a type that is none of numbers), invalid_argument (x is no
  // valid CSR matrix, since users may write into batches), budget (the system refuses memory).
  Result<DenseArray> densify(const CsrView& x, ArrayType type) const;
  // Into n_rows x n_cols elements of the caller's.
  Status densify_into(const CsrView& x, ArrayView out) const;

 private:
  std::shared_ptr<internal::DensifierImpl> impl_;
};

}  // namespace penstock
