// Tables that no file has: gene tables from CSV, row numbers where a file gives no names, names of columns of
// wide Parquet files. They offer what tables in files do (source/table.h), so that nothing above knows the
// difference; there is nothing to request and nothing to decode.
//
// Numbered rows are not even stored. A RangeIndex of pandas may begin anywhere and go down (start 10, step
// -2: 10, 8, 6, ...), which is computed in unsigned numbers, where wrapping is allowed and the result is
// right.
#include "source/memory_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace penstock {

namespace {

// Rows of a column in memory, as a label of batches.
class MemoryObsColumn final : public ObsColumn {
 public:
  explicit MemoryObsColumn(std::shared_ptr<const Column> column) : column_(std::move(column)) {}
  ObsKind kind() const override {
    return column_->kind == Column::Kind::integer ? ObsKind::integer : ObsKind::floating64;
  }
  RowIndex n_rows() const override { return column_->size(); }
  bool streamable() const override { return true; }
  Status requests(RowRange, RequestList&) const override { return {}; }
  ByteCount scratch_bytes(RowIndex) const override { return 0; }
  Status decode(RowRange rows, const Fetched&, Scratch&, std::span<std::byte> out) const override {
    // Both kinds have 8 bytes a value.
    const void* from = column_->kind == Column::Kind::integer
                           ? static_cast<const void*>(column_->integers.data() + rows.first)
                           : static_cast<const void*>(column_->floats.data() + rows.first);
    if (rows.size() > 0) std::memcpy(out.data(), from, rows.size() * 8);
    return {};
  }

 private:
  const std::shared_ptr<const Column> column_;
};

class MemoryColumn final : public TableColumn {
 public:
  MemoryColumn(std::shared_ptr<const Column> column, std::string where)
      : column_(std::move(column)), where_(std::move(where)) {}

  Encoding encoding() const override {
    return column_->kind == Column::Kind::string ? Encoding::string : Encoding::number;
  }
  NumericType number() const override {
    return column_->kind == Column::Kind::integer ? NumericType::i64 : NumericType::f64;
  }
  const std::string& where() const override { return where_; }
  const std::string& dtype() const override { return column_->dtype; }
  bool ordered() const override { return false; }
  bool masked() const override { return false; }
  std::uint64_t size() const override { return column_->size(); }
  Result<std::shared_ptr<const Categories>> categories(MemoryBudget&) const override {
    return Status::internal(where_ + ": not a categorical");
  }
  std::uint64_t rows_at_once() const override { return 64 << 10; }
  Result<Column> read(std::uint64_t first, std::uint64_t count, std::uint64_t) const override {
    Column out;
    out.kind = column_->kind;
    const auto part = [&](const auto& from, auto& to) {
      const auto begin = from.begin() + static_cast<std::ptrdiff_t>(first);
      to.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
    };
    if (column_->kind == Column::Kind::string) part(column_->strings, out.strings);
    if (column_->kind == Column::Kind::integer) part(column_->integers, out.integers);
    if (column_->kind == Column::Kind::floating) part(column_->floats, out.floats);
    return out;
  }
  std::shared_ptr<const ObsColumn> stream(std::uint64_t) const override {
    return std::make_shared<const MemoryObsColumn>(column_);
  }

 private:
  const std::shared_ptr<const Column> column_;
  const std::string where_;
};

// start + i * step; products of numbers in between may overflow, results do not.
struct Numbering {
  std::uint64_t start = 0, step = 1;
  std::int64_t at(std::uint64_t i) const { return static_cast<std::int64_t>(start + i * step); }
};

class NumberedObsColumn final : public ObsColumn {
 public:
  NumberedObsColumn(std::uint64_t n, Numbering numbering) : n_(n), numbering_(numbering) {}
  ObsKind kind() const override { return ObsKind::integer; }
  RowIndex n_rows() const override { return n_; }
  bool streamable() const override { return true; }
  Status requests(RowRange, RequestList&) const override { return {}; }
  ByteCount scratch_bytes(RowIndex) const override { return 0; }
  Status decode(RowRange rows, const Fetched&, Scratch&, std::span<std::byte> out) const override {
    for (RowIndex row = rows.first; row < rows.last; ++row) {
      const std::int64_t number = numbering_.at(row);
      std::memcpy(out.data() + (row - rows.first) * sizeof(number), &number, sizeof(number));
    }
    return {};
  }

 private:
  const std::uint64_t n_;
  const Numbering numbering_;
};

class NumberedRows final : public TableColumn {
 public:
  NumberedRows(std::uint64_t n, std::string where, Numbering numbering)
      : n_(n), where_(std::move(where)), numbering_(numbering) {}
  Encoding encoding() const override { return Encoding::number; }
  NumericType number() const override { return NumericType::i64; }
  const std::string& where() const override { return where_; }
  const std::string& dtype() const override { return dtype_; }
  bool ordered() const override { return false; }
  bool masked() const override { return false; }
  std::uint64_t size() const override { return n_; }
  Result<std::shared_ptr<const Categories>> categories(MemoryBudget&) const override {
    return Status::internal(where_ + ": not a categorical");
  }
  std::uint64_t rows_at_once() const override { return 64 << 10; }
  Result<Column> read(std::uint64_t first, std::uint64_t count, std::uint64_t) const override {
    Column out;
    out.kind = Column::Kind::integer;
    out.integers.resize(count);
    for (std::uint64_t i = 0; i < count; ++i) out.integers[i] = numbering_.at(first + i);
    return out;
  }
  std::shared_ptr<const ObsColumn> stream(std::uint64_t) const override {
    return std::make_shared<const NumberedObsColumn>(n_, numbering_);
  }

 private:
  const std::uint64_t n_;
  const std::string where_, dtype_ = "int64";
  const Numbering numbering_;
};

class MemoryTable final : public Table {
 public:
  MemoryTable(std::vector<Column> columns, std::int64_t index, std::uint64_t n_rows, std::string where)
      : n_rows_(n_rows), where_(std::move(where)) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      std::string name = columns[i].name;
      auto column = std::make_shared<const MemoryColumn>(
          std::make_shared<const Column>(std::move(columns[i])), where_ + ": " + name);
      if (static_cast<std::int64_t>(i) == index) {
        index_ = std::move(column);
        continue;
      }
      names_.push_back(std::move(name));
      columns_.push_back(std::move(column));
    }
    // No column names the rows: they are numbered.
    if (!index_) index_ = numbered_rows(n_rows, where_);
  }
  // Names of rows and nothing else.
  MemoryTable(std::shared_ptr<const TableColumn> index, std::string where)
      : n_rows_(index->size()), where_(std::move(where)), index_(std::move(index)) {}

  std::uint64_t n_rows() const override { return n_rows_; }
  const std::vector<std::string>& columns() const override { return names_; }
  bool has(const std::string& name) const override {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }
  Result<std::shared_ptr<const TableColumn>> index() const override { return index_; }
  Result<std::shared_ptr<const TableColumn>> column(const std::string& name) const override {
    const auto at = std::find(names_.begin(), names_.end(), name);
    if (at == names_.end()) {
      return Status::not_found(
          fmt::format("{}: no column '{}'; it has: {}", where_, name, fmt::join(names_, ", ")));
    }
    return columns_[static_cast<std::size_t>(at - names_.begin())];
  }
  ColumnInfo info(const std::string& name) const override {
    ColumnInfo out;
    out.name = name;
    const auto found = column(name);
    out.usable = found.ok();
    if (found.ok()) {
      out.dtype = found.value()->dtype();
    } else {
      out.why = found.status().message();
    }
    return out;
  }
  Result<std::vector<ColumnBounds>> bounds(const std::string&) const override {
    return std::vector<ColumnBounds>();
  }
  std::string where() const override { return where_; }

 private:
  const std::uint64_t n_rows_;
  const std::string where_;
  std::vector<std::string> names_;
  std::vector<std::shared_ptr<const TableColumn>> columns_;
  std::shared_ptr<const TableColumn> index_;
};

}  // namespace

std::shared_ptr<const TableColumn> numbered_rows(std::uint64_t n, std::string where, std::int64_t start,
                                                 std::int64_t step) {
  const Numbering numbering{static_cast<std::uint64_t>(start), static_cast<std::uint64_t>(step)};
  return std::make_shared<const NumberedRows>(n, std::move(where), numbering);
}

std::shared_ptr<const Table> memory_table(std::vector<Column> columns, std::int64_t index,
                                          std::uint64_t n_rows, std::string where) {
  return std::make_shared<const MemoryTable>(std::move(columns), index, n_rows, std::move(where));
}

std::shared_ptr<const Table> names_table(std::shared_ptr<const Column> names, std::string where) {
  const std::string label = where + ": " + names->name;
  return std::make_shared<const MemoryTable>(std::make_shared<const MemoryColumn>(std::move(names), label),
                                             std::move(where));
}

}  // namespace penstock
