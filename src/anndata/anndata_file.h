// One opened AnnData file: a matrix, and the tables of its rows and columns.
//
// Thread contract: immutable. Ownership: keeps the file open.
#pragma once

#include <memory>
#include <string>

#include "anndata/frame.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/row_source.h"
#include "store/store.h"

namespace penstock::anndata {

// `unsupported`, saying what the file is, when it is something else: loom, h5Seurat, ...
Status check_is_anndata(const store::Group& root);

// Where old tables have their categories; null where there is none.
Result<std::shared_ptr<const store::Group>> open_uns(const store::Group& root);

struct AnnDataFile {
  // What the tables lie in: the root of the file, or a modality of a MuData file.
  std::shared_ptr<const store::Group> object;
  std::shared_ptr<const RowSource> matrix;
  // Of the matrix: those that are stored, or all; null where there is no X.
  std::shared_ptr<const store::Array> values;
  Frame obs;
  Frame var;  // of the matrix: raw/X has raw/var

  // Reads metadata and indptr. `matrix` is "X", "raw/X" or "layers/NAME", behind "mod/NAME/" in MuData; an X
  // that is absent, as that of a MuData file, has rows whose reading says which matrices there are. Files that
  // are something else (loom) are `unsupported` by name; sizes that contradict each other are `corrupt`.
  static Result<AnnDataFile> open(std::shared_ptr<const store::Group> root, const std::string& matrix,
                                  MemoryBudget& index_budget);
};

}  // namespace penstock::anndata
