// Decompresses every page of a Parquet file and tells of those that are damaged.
//
// Thread contract: pure functions of an immutable file. Memory: one page, stored and decompressed, reserved
// from the budget.
#pragma once

#include "io/file.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/opened_file.h"

namespace penstock::parquet {

// Column chunks of a file; 0 when its footer cannot be read (verify_file says why).
std::uint64_t column_chunks(const File& file);
// Adds to `counts`.
Status verify_file(const File& file, const OpenedFile::Verifier& verifier, MemoryBudget& budget,
                   Dataset::VerifyCounts* counts);

}  // namespace penstock::parquet
