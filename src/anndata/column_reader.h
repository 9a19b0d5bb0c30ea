// Reads opened columns (frame.h) into memory: rows of a column, its texts, its list of categories.
//
// Everything here is the metadata path: it allocates what it returns. Thread contract: pure functions of
// immutable columns.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "anndata/frame.h"
#include "penstock/dataset.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::anndata {

// What codes stand for, in file order, spelled as text ("1", "0.5", "True").
struct Categories {
  std::vector<std::string> names;
  Column::Kind kind = Column::Kind::string;  // what the names spell
  Reservation held;                          // of the names, under `obs`
};

// The list of a categorical column.
Result<std::shared_ptr<const Categories>> read_categories(const FrameColumn& column, MemoryBudget& budget);

// Bytes that a list of strings is counted with.
ByteCount string_bytes(const std::vector<std::string>& strings);

// How many rows of a column to read at a time: whole chunks, about 64 Ki rows.
std::uint64_t rows_at_once(const FrameColumn& column);

// Rows [first, first + count) without name, categories and dtype. A category code outside its list
// (n_categories long) is `corrupt` and names the row.
Result<Column> read_rows(const FrameColumn& column, std::uint64_t first, std::uint64_t count,
                         std::uint64_t n_categories);

// The values of a column of strings, numbers, booleans or categories as text: names of rows.
class TextReader {
 public:
  static Result<TextReader> open(FrameColumn column, MemoryBudget& budget);
  // Missing values become "nan", as in anndata's names.
  Result<std::vector<std::string>> read(std::uint64_t first, std::uint64_t count) const;
  std::uint64_t size() const { return column_.size(); }
  std::uint64_t rows_at_once() const { return anndata::rows_at_once(column_); }
  const std::string& where() const { return column_.where; }

 private:
  FrameColumn column_;
  std::shared_ptr<const Categories> categories_;  // of a categorical
};

}  // namespace penstock::anndata
