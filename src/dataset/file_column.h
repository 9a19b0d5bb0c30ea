// "@file": which file a row is of, as an obs column that every table has and none lists. Its categories are
// the names of the files, without their folders where those are different.
//
// Thread contract: immutable. Memory: the names, reserved from the budget under `obs`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/table.h"

namespace penstock::internal {

inline constexpr const char* kFileColumn = "@file";

// The obs tables of the files that lie at `paths`, each with that column. A column of this name that a file
// has itself comes first.
Result<std::vector<std::shared_ptr<const Table>>> with_file_column(
    const std::vector<std::string>& paths, std::vector<std::shared_ptr<const Table>> tables,
    MemoryBudget& budget);

}  // namespace penstock::internal
