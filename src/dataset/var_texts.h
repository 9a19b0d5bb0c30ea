// Columns of var: of one file as they are, and over all files as text to look genes up by.
//
// Thread contract: pure functions of immutable parts. Memory: allocates what it returns.
#pragma once

#include <string>
#include <vector>

#include "dataset/opened_files.h"
#include "penstock/dataset.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/table.h"

namespace penstock::internal {

// not_found suggests near names.
Result<Column> read_var(const Table& var, const std::string& name, MemoryBudget& budget);

// What column `key` of var says of each opened column: in the first file that has the gene, the column and a
// value; empty where none has.
Result<std::vector<std::string>> var_texts(const OpenedFiles& opened, const std::string& key);

}  // namespace penstock::internal
