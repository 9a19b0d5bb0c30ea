// The obs and var tables of a file, whatever its format: which columns there are, and a column's values, its
// list of categories, its form as a label of batches. A format implements these two classes; dataset/ joins
// the tables of several files.
//
// Metadata path: what is returned is allocated; what is kept is reserved from the budget given, under `obs`.
// Thread contract: immutable after open; every method is safe from many threads at once. Ownership: keeps the
// file open.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "penstock/column.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/obs_column.h"

namespace penstock {

// What codes stand for, in file order, spelled as text ("1", "0.5", "True").
struct Categories {
  std::vector<std::string> names;
  Column::Kind kind = Column::Kind::string;  // what the names spell
  Reservation held;                          // of the names, under `obs`
};

class TableColumn {
 public:
  enum class Encoding : std::uint8_t { number, boolean, string, categorical };

  virtual ~TableColumn() = default;
  virtual Encoding encoding() const = 0;
  // Of an encoding `number`: the type as stored.
  virtual NumericType number() const = 0;
  // "a.h5ad: /obs/drug"
  virtual const std::string& where() const = 0;
  // As in penstock::Column: "float32", "category", "string", "nullable-integer", ...
  virtual const std::string& dtype() const = 0;
  virtual bool ordered() const = 0;  // categorical only
  virtual bool masked() const = 0;   // read() fills Column::missing
  virtual std::uint64_t size() const = 0;

  // The list of a categorical column.
  virtual Result<std::shared_ptr<const Categories>> categories(MemoryBudget& budget) const = 0;
  // How many rows to read at a time: whole storage chunks, about 64 Ki rows.
  virtual std::uint64_t rows_at_once() const = 0;
  // Rows [first, first + count) without name, categories and dtype. A category code outside its list
  // (n_categories long) is `corrupt` and names the row.
  virtual Result<Column> read(std::uint64_t first, std::uint64_t count, std::uint64_t n_categories) const = 0;
  // A view that reads rows by ranges; n_categories bounds the codes of a categorical. Not for strings: they
  // are coded (coded_strings.h).
  virtual std::shared_ptr<const ObsColumn> stream(std::uint64_t n_categories) const = 0;
};

// The smallest and largest value of a run of rows, where the file's statistics tell: what a selection can
// skip without reading. Text of numbers is their shortest spelling.
struct ColumnBounds {
  RowRange rows;
  std::optional<std::string> min, max;  // truncated strings are bounds all the same
  std::optional<std::uint64_t> missing;
};

class Table {
 public:
  virtual ~Table() = default;
  virtual std::uint64_t n_rows() const = 0;
  // In the order stored; without the index.
  virtual const std::vector<std::string>& columns() const = 0;
  virtual bool has(const std::string& name) const = 0;
  // The names of the rows.
  virtual Result<std::shared_ptr<const TableColumn>> index() const = 0;
  // not_found suggests near names; a listed column that is absent or has another length is `corrupt`.
  virtual Result<std::shared_ptr<const TableColumn>> column(const std::string& name) const = 0;
  virtual ColumnInfo info(const std::string& name) const = 0;
  // Bounds by row group; empty where the format keeps none.
  virtual Result<std::vector<ColumnBounds>> bounds(const std::string& name) const = 0;
  // "a.h5ad: /obs"
  virtual std::string where() const = 0;
};

}  // namespace penstock
