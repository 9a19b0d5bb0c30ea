// Goes through an AnnData file: every chunk of its matrices and tables, and whatever an open, a column or an
// epoch would read of them.
//
// Thread contract: pure function of an immutable file. Memory: metadata from `index`, a chunk stored and
// decoded from `work`.
#pragma once

#include <memory>
#include <string>

#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/verify_log.h"
#include "store/store.h"

namespace penstock::anndata {

// `matrix`: "X", "raw/X" or "layers/NAME", behind "mod/NAME/" in MuData; empty: all of these, and obsm, varm,
// obsp and varp, of every modality. Errors: what the file is when it is no AnnData file, a matrix that is not
// there, `budget`.
Status verify(const std::shared_ptr<const store::Group>& root, const std::string& matrix, VerifyLog& log,
              MemoryBudget& index, MemoryBudget& work);

}  // namespace penstock::anndata
