// One opened AnnData file: a matrix, and the tables of its rows and columns.
//
// Thread contract: immutable. Ownership: keeps the file open.
#pragma once

#include <memory>
#include <string>

#include "anndata/csr_source.h"
#include "anndata/frame.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "store/store.h"

namespace penstock::anndata {

struct AnnDataFile {
  std::shared_ptr<const store::Group> root;
  std::shared_ptr<const CsrSource> matrix;
  Frame obs;
  Frame var;  // of the matrix: raw/X has raw/var

  // Reads metadata and indptr. `matrix` is "X", "raw/X" or "layers/NAME". Files that are something else (10x,
  // loom, MuData, anndata before 0.7) are `unsupported` by name; sizes that contradict each other are
  // `corrupt`.
  static Result<AnnDataFile> open(std::shared_ptr<const store::Group> root, const std::string& matrix,
                                  MemoryBudget& index_budget);
};

}  // namespace penstock::anndata
