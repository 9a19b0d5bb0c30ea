// Reads a footer, piece by piece, into FileMetadata (metadata.h).
//
// Thread contract: a pure function. Memory: what is kept, and a window that holds the longest string that is
// looked at; both are reserved before they are taken.
#pragma once

#include "base/types.h"
#include "io/file.h"
#include "parquet/metadata.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::parquet {

// The footer is the `length` bytes at `at`. out->held keeps what the structure takes.
Status read_footer(const File& file, ByteOffset at, ByteCount length, const MetadataOptions& options,
                   MemoryBudget& budget, FileMetadata* out);

}  // namespace penstock::parquet
