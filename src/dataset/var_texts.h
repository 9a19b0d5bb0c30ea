// Columns of var: of one file as they are, and over all files as text to look genes up by.
//
// Thread contract: pure functions of immutable parts. Memory: allocates what it returns.
#pragma once

#include <string>
#include <vector>

#include "dataset/opened_files.h"
#include "dataset/var_space.h"
#include "penstock/column.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/table.h"

namespace penstock::internal {

// not_found suggests near names.
Result<Column> read_var(const Table& var, const std::string& name, MemoryBudget& budget);

// The same of the first file, by gene of a Dataset (vars; nullptr: all); missing for genes that it lacks.
Result<Column> first_file_var(const OpenedFiles& opened, const VarSpace* vars, const std::string& name);
// As text; empty where it is missing.
Result<std::vector<std::string>> first_file_texts(const OpenedFiles& opened, const VarSpace* vars,
                                                  const std::string& name);

// What column `key` of var says of each gene of a Dataset: in the first file that has the gene, the column
// and a value; empty where none has.
Result<std::vector<std::string>> var_texts(const OpenedFiles& opened, const VarSpace* vars,
                                           const std::string& key);

}  // namespace penstock::internal
