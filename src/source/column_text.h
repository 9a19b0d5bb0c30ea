// Columns in memory as text: names of rows, lists of categories.
//
// Metadata path: allocates what it returns. Thread contract: pure functions of immutable columns.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "penstock/column.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/table.h"

namespace penstock {

// Bytes that a list of strings is counted with.
ByteCount string_bytes(const std::vector<std::string>& strings);

// The values of a column that is no categorical, in order; missing ones as what lies there.
std::vector<std::string> texts_of(Column&& column);

// The values of a column of strings, numbers, booleans or categories as text: names of rows.
class TextReader {
 public:
  static Result<TextReader> open(std::shared_ptr<const TableColumn> column, MemoryBudget& budget);
  // Missing values become "nan", as in anndata's names.
  Result<std::vector<std::string>> read(std::uint64_t first, std::uint64_t count) const;
  std::uint64_t size() const { return column_->size(); }
  std::uint64_t rows_at_once() const { return column_->rows_at_once(); }
  const std::string& where() const { return column_->where(); }

 private:
  std::shared_ptr<const TableColumn> column_;
  std::shared_ptr<const Categories> categories_;  // of a categorical
};

}  // namespace penstock
