// The columns that a query names, over all files: their types as one table, their lists of categories.
//
// A type is what the concatenated column would have: numbers are widened as numpy does, categories keep an
// order only when all files have the same list. Thread contract: immutable once opened. Memory: lists of
// categories are reserved from the budget under `obs`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "query/source_text.h"
#include "query/values.h"
#include "source/table.h"

namespace penstock::query {

// The obs table of a file, and what messages call the file.
struct FileTable {
  std::string path;
  std::shared_ptr<const Table> obs;
};

struct NamedColumn {
  struct PerFile {
    std::shared_ptr<const TableColumn> column;
    std::shared_ptr<const Categories> categories;  // null: no categorical
    NumberType type;                               // of numbers, in this file
  };
  std::string name;
  bool is_index = false;
  bool text = false;      // strings and categories; else numbers and booleans
  NumberType type;        // of numbers, over all files
  bool nullable = false;  // a mask says what is missing; else NaN, or nothing
  // text: any file has categories; all have the same list; and its order means something.
  bool categorical = false, same_list = false, ordered = false;
  std::vector<PerFile> files;

  // "column 'n' (int64)"
  std::string describe() const;
};

// Opens `name` in every file. not_found with near names, and with the file when only some have it;
// invalid_argument when files hold it in types that do not fit together. `quoted`: no keyword like index.
Result<NamedColumn> open_column(const std::string& name, bool quoted, std::span<const FileTable> files,
                                MemoryBudget& budget, const SourceText& source, std::size_t at);

}  // namespace penstock::query
