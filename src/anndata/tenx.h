// 10x Genomics' .h5 files, as Cell Ranger writes them: CSC of features x barcodes, which is CSR of cells x
// features. Version 3 has one group `matrix`; version 2 a group for each genome.
//
// Cells, features and their columns are called as scanpy.read_10x_h5 calls them.
//
// Thread contract: pure functions. Ownership: what is opened keeps the file open.
#pragma once

#include <memory>

#include "penstock/memory_budget.h"
#include "penstock/options.h"
#include "penstock/status.h"
#include "source/opened_file.h"
#include "source/verify_log.h"
#include "store/store.h"

namespace penstock::anndata {

// Whether an HDF5 file is one of them. What cannot be read is none.
bool is_tenx(const store::Group& root);

// options.genome and options.feature_type choose features; several genomes of version 2 must be chosen from.
// not_found lists what there is.
Result<std::shared_ptr<const OpenedFile>> open_tenx(const std::shared_ptr<const store::Group>& root,
                                                    const OpenOptions& options, MemoryBudget& index_budget);

// Goes through all of the file's matrices (penstock/verify.h).
Status verify_tenx(const std::shared_ptr<const store::Group>& root, VerifyLog& log, MemoryBudget& index,
                   MemoryBudget& work);

}  // namespace penstock::anndata
