// A table with a column of every kind, for tests and the fuzz target of queries.
//
//   i                  int64: 0, 1, ...
//   u                  uint64, the last of them 2^64 - 1
//   f                  float64: i / 2
//   nan                float64, NaN at 0
//   flag               bool: i is even
//   s                  strings: "b0", ...
//   m                  strings, missing at 0
//   k                  nullable integers, missing at 1
//   c                  ordered categories low < mid < high: codes -1 0 1 2 0 1 2 ...
//   a name.with dots   int64
#pragma once

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "source/memory_table.h"
#include "source/table.h"

namespace penstock::query::testing {

// Any column in memory; memory_table() has strings and plain numbers only.
class MadeUpColumn final : public TableColumn {
 public:
  MadeUpColumn(Column column, Encoding encoding, NumericType number, std::string where)
      : column_(std::move(column)), encoding_(encoding), number_(number), where_(std::move(where)) {}

  Encoding encoding() const override { return encoding_; }
  NumericType number() const override { return number_; }
  const std::string& where() const override { return where_; }
  const std::string& dtype() const override { return column_.dtype; }
  bool ordered() const override { return column_.ordered; }
  bool masked() const override { return !column_.missing.empty(); }
  std::uint64_t size() const override { return column_.size(); }
  Result<std::shared_ptr<const Categories>> categories(MemoryBudget&) const override {
    auto list = std::make_shared<Categories>();
    list->names = column_.categories;
    return std::shared_ptr<const Categories>(std::move(list));
  }
  std::uint64_t rows_at_once() const override { return 1000; }
  Result<Column> read(std::uint64_t first, std::uint64_t count, std::uint64_t) const override {
    Column out;
    out.kind = column_.kind;
    out.is_unsigned = column_.is_unsigned;
    const auto part = [&](const auto& from, auto& to) {
      if (from.empty()) return;
      const auto begin = from.begin() + static_cast<std::ptrdiff_t>(first);
      to.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
    };
    part(column_.codes, out.codes);
    part(column_.strings, out.strings);
    part(column_.integers, out.integers);
    part(column_.floats, out.floats);
    part(column_.booleans, out.booleans);
    part(column_.missing, out.missing);
    return out;
  }
  std::shared_ptr<const ObsColumn> stream(std::uint64_t) const override { return nullptr; }

 private:
  const Column column_;
  const Encoding encoding_;
  const NumericType number_;
  const std::string where_;
};

class MadeUpTable final : public Table {
 public:
  explicit MadeUpTable(std::uint64_t n) : n_(n) {
    using Encoding = TableColumn::Encoding;
    Column i, u, f, nan, flag, s, m, k, c;
    i.kind = u.kind = k.kind = Column::Kind::integer;
    f.kind = nan.kind = Column::Kind::floating;
    flag.kind = Column::Kind::boolean;
    s.kind = m.kind = Column::Kind::string;
    c.kind = Column::Kind::categorical;
    c.categories = {"low", "mid", "high"};
    c.ordered = u.is_unsigned = true;
    for (std::uint64_t row = 0; row < n; ++row) {
      const auto number = static_cast<std::int64_t>(row);
      i.integers.push_back(number);
      u.integers.push_back(row + 1 == n ? -1 : number + 1);
      f.floats.push_back(static_cast<double>(row) / 2);
      nan.floats.push_back(row == 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(row));
      flag.booleans.push_back(row % 2 == 0 ? 1 : 0);
      s.strings.push_back("b" + std::to_string(row));
      m.strings.push_back("b" + std::to_string(row));
      m.missing.push_back(row == 0 ? 1 : 0);
      k.integers.push_back(number);
      k.missing.push_back(row == 1 ? 1 : 0);
      c.codes.push_back(row == 0 ? -1 : static_cast<std::int32_t>((row - 1) % 3));
    }
    add("i", i, Encoding::number, NumericType::i64);
    add("u", std::move(u), Encoding::number, NumericType::u64);
    add("f", std::move(f), Encoding::number, NumericType::f64);
    add("nan", std::move(nan), Encoding::number, NumericType::f64);
    add("flag", std::move(flag), Encoding::boolean, NumericType::u8);
    add("s", std::move(s), Encoding::string, NumericType::u8);
    add("m", std::move(m), Encoding::string, NumericType::u8);
    add("k", std::move(k), Encoding::number, NumericType::i64);
    add("c", std::move(c), Encoding::categorical, NumericType::u8);
    add("a name.with dots", std::move(i), Encoding::number, NumericType::i64);
  }

  std::uint64_t n_rows() const override { return n_; }
  const std::vector<std::string>& columns() const override { return names_; }
  bool has(const std::string& name) const override { return find(name) != nullptr; }
  Result<std::shared_ptr<const TableColumn>> index() const override { return numbered_rows(n_, where()); }
  Result<std::shared_ptr<const TableColumn>> column(const std::string& name) const override {
    auto found = find(name);
    if (!found) return Status::not_found(where() + ": no column " + name);
    return found;
  }
  ColumnInfo info(const std::string& name) const override { return {name, find(name)->dtype(), true, ""}; }
  // Of i alone, by 1,000 rows.
  Result<std::vector<ColumnBounds>> bounds(const std::string& name) const override {
    std::vector<ColumnBounds> out;
    for (std::uint64_t first = 0; name == "i" && first < n_; first += 1000) {
      const std::uint64_t last = std::min(n_, first + 1000);
      out.push_back({{first, last}, std::to_string(first), std::to_string(last - 1), 0});
    }
    return out;
  }
  std::string where() const override { return "made up: /obs"; }

 private:
  void add(const std::string& name, Column column, TableColumn::Encoding encoding, NumericType number) {
    column.dtype = "made up";
    names_.push_back(name);
    columns_.push_back(
        std::make_shared<const MadeUpColumn>(std::move(column), encoding, number, where() + "/" + name));
  }
  std::shared_ptr<const TableColumn> find(const std::string& name) const {
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == name) return columns_[i];
    }
    return nullptr;
  }

  const std::uint64_t n_;
  std::vector<std::string> names_;
  std::vector<std::shared_ptr<const TableColumn>> columns_;
};

inline std::shared_ptr<const Table> made_up_table(std::uint64_t n) {
  return std::make_shared<const MadeUpTable>(n);
}

}  // namespace penstock::query::testing
