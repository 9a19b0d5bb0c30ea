// Entries of obsm over all files of a Dataset, and their rows on request.
//
// Thread contract: pure functions of immutable files.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "dataset/dataset_impl.h"
#include "dataset/opened_files.h"
#include "penstock/dataset.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::internal {

// invalid_argument, naming both files, when one has another width, other columns, or a type that no type
// holds beside the others'; otherwise what opening an entry can give (source/opened_file.h).
Result<ObsmEntry> join_obsm(const OpenedFiles& opened, const std::string& name);

// By position, in any order, repeated or not: for a look at the data. Memory: what it returns, and one block's
// bytes and scratch, reserved from `budget`.
Result<ObsmRows> read_obsm(const ObsmEntry& entry, std::span<const FilePart> parts,
                           std::span<const std::int64_t> positions, MemoryBudget& budget);

}  // namespace penstock::internal
