// An AnnData file as a file of a Dataset (source/opened_file.h), over any store.
//
// Thread contract: immutable. Ownership: keeps the file open.
#pragma once

#include <memory>
#include <string>

#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/opened_file.h"
#include "store/store.h"

namespace penstock::anndata {

// As AnnDataFile::open.
Result<std::shared_ptr<const OpenedFile>> open_anndata(std::shared_ptr<const store::Group> root,
                                                       const std::string& matrix, MemoryBudget& index_budget);

}  // namespace penstock::anndata
