// A query, bound to the obs tables of files: which rows it holds for.
//
//   auto program = Program::bind("n_counts > 500 and drug == 'A'", {}, tables, budget);
//   program->run(file, {.next_wanted = ..., .on_rows = ...});
//
// Three-valued logic decides a row as pandas does: one whose outcome is missing is not selected. Rows are
// worked on in blocks of kBlockRows; a column is read in its storage's own units, once, when the first block
// needs it, and not at all where `and` and `or` are settled without it or a row group's statistics decide.
//
// Thread contract: a Program is immutable; run() may be called from many threads. Memory: lists of categories
// for as long as it lives; while it runs one unit of each column and the values of a block; all reserved from
// the budget under `obs` before they are taken.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "penstock/memory_budget.h"
#include "penstock/query.h"
#include "penstock/status.h"
#include "query/bind.h"
#include "query/columns.h"

namespace penstock::query {

inline constexpr RowIndex kBlockRows = 16 << 10;

class Program {
 public:
  // Errors, all with their position: the grammar's (parser.h); not_found for unknown columns and parameters
  // (near names are suggested); invalid_argument for types that an operator cannot take.
  static Result<Program> bind(std::string_view expression, const QueryParams& params,
                              std::vector<FileTable> files, std::shared_ptr<MemoryBudget> budget);

  struct Rows {
    // The first row >= `at` that matters, or any number >= the file's rows.
    std::function<RowIndex(RowIndex at)> next_wanted;
    // Ascending; keep[i] != 0: the query holds for rows.first + i; null: it holds for all of them. Rows that
    // nobody wants may be among them.
    std::function<void(RowRange rows, const std::uint8_t* keep)> on_rows;
  };
  Status run(std::size_t file, const Rows& rows) const;

 private:
  std::vector<FileTable> files_;
  std::shared_ptr<MemoryBudget> budget_;
  Bound bound_;
};

}  // namespace penstock::query
