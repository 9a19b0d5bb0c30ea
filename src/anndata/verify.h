// Decodes every chunk of an AnnData file's matrix and obs columns and tells of those that cannot be decoded.
//
// Thread contract: pure function of an immutable file. Memory: one chunk stored and decoded, reserved from
// the budget.
#pragma once

#include "anndata/anndata_file.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/opened_file.h"

namespace penstock::anndata {

// Chunks that verify() will go through.
std::uint64_t verify_chunks(const AnnDataFile& file);
Result<Dataset::VerifyCounts> verify(const AnnDataFile& file, const OpenedFile::Verifier& verifier,
                                     MemoryBudget& budget);

}  // namespace penstock::anndata
