// From what was written to steps: names become columns, parameters values, and every operator is checked
// against the types of its operands.
//
// Thread contract: pure function. Memory: see Program.
#pragma once

#include <span>
#include <vector>

#include "penstock/memory_budget.h"
#include "penstock/query.h"
#include "query/columns.h"
#include "query/source_text.h"
#include "query/step.h"
#include "query/syntax.h"

namespace penstock::query {

inline constexpr std::size_t kMostCost = 100'000;  // steps that a block takes

// The step that decides a row, the columns that it reads by number, and what lists take.
struct Bound {
  TruthPtr root;
  std::vector<NamedColumn> columns;
  std::vector<Reservation> lists;
};
Result<Bound> bind_tree(const Node& tree, const QueryParams& params, std::span<const FileTable> files,
                        MemoryBudget& budget, const SourceText& source);

}  // namespace penstock::query
