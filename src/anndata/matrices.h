// The matrices of an AnnData object: X, raw/X and layers/*, told apart by content. The object is the root of
// a file, or a modality of a MuData file; its matrices are then called "mod/rna/X" (mudata.h).
//
// Thread contract: pure functions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "anndata/csr_source.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "store/store.h"

namespace penstock::anndata {

struct MatrixEntry {
  std::string name;                         // "X", "raw/X", "layers/counts"
  bool readable = false;                    // open_matrix() reads it
  std::string description;                  // "a CSR matrix (float32, 700 x 765)"
  std::shared_ptr<const store::Node> node;  // null: `failure` says why
  Status failure;
};

// Whether there is an X: some writers leave a null array where there is none.
Result<bool> has_matrix_x(const store::Group& root);
// Every matrix of the object, X first; of the root of a MuData file, of all modalities. Nothing is read but
// metadata; what cannot be told is described as such.
Result<std::vector<MatrixEntry>> list_matrices(const store::Group& root);

// invalid_argument unless it is "X", "raw/X" or "layers/NAME" of this object; suggests a matrix of the file
// that may be meant.
Status check_matrix_name(const store::Group& root, const std::string& name);

// A matrix that can hand out rows, and the array of its values: of those that are stored, or of all.
struct OpenedMatrix {
  std::shared_ptr<const RowSource> rows;
  std::shared_ptr<const store::Array> values;
};

// `unsupported` says what it is that is not read, and lists what can be; not_found lists what there is.
Result<OpenedMatrix> open_matrix(const store::Group& root, const std::string& name,
                                 MemoryBudget& index_budget);
// The array of values alone; errors likewise.
Result<std::shared_ptr<const store::Array>> open_values(const store::Group& root, const std::string& name);
// The arrays of a CSR matrix, opened; errors likewise.
Result<CsrParts> open_csr(const store::Group& root, const std::string& name);

// True when a bounded sample (at most 1 MB, from the first and the middle chunk) holds only non-negative
// whole numbers; nullopt when no such sample can be had (no entries, or chunks too large to look into).
Result<std::optional<bool>> looks_like_counts(const store::Array& values);

}  // namespace penstock::anndata
