// Goes through a Parquet file or a pqdata folder: every page, every row of its matrices as an epoch decodes
// it, every value of the tables beside them.
//
// Thread contract: pure function of immutable files. Memory: metadata from the context's budget; a page,
// stored and decompressed, or a block of rows from `work`.
#pragma once

#include <string>

#include "parquet/parquet_file.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "penstock/verify.h"
#include "source/verify_log.h"

namespace penstock::parquet {

// Errors: a path or matrix that is not there, what the file is when it holds no matrix, `budget`.
Status verify(const std::string& path, const VerifyOptions& options, OpenContext context, VerifyLog& log,
              MemoryBudget& work);

}  // namespace penstock::parquet
