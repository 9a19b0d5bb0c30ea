#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "query/program.h"
#include "query/testing/made_up_table.h"
#include "require.h"
#include "targets.h"

namespace penstock::fuzz {

namespace {

constexpr std::uint64_t kRows = 2500;  // two and a half row groups

// The made-up table without statistics.
class Unbounded final : public Table {
 public:
  explicit Unbounded(std::shared_ptr<const Table> of) : of_(std::move(of)) {}
  std::uint64_t n_rows() const override { return of_->n_rows(); }
  const std::vector<std::string>& columns() const override { return of_->columns(); }
  bool has(const std::string& name) const override { return of_->has(name); }
  Result<std::shared_ptr<const TableColumn>> index() const override { return of_->index(); }
  Result<std::shared_ptr<const TableColumn>> column(const std::string& name) const override {
    return of_->column(name);
  }
  ColumnInfo info(const std::string& name) const override { return of_->info(name); }
  Result<std::vector<ColumnBounds>> bounds(const std::string&) const override {
    return std::vector<ColumnBounds>();
  }
  std::string where() const override { return of_->where(); }

 private:
  const std::shared_ptr<const Table> of_;
};

struct Rows {
  Status status;
  std::vector<std::uint8_t> kept = std::vector<std::uint8_t>(kRows);
};

Rows run(const std::string& expression, std::shared_ptr<const Table> table) {
  static const QueryParams params = {
      {"n", {std::int64_t{3}}},
      {"x", {0.5}},
      {"w", {std::string("b1")}},
      {"l", {QueryValue::List{{std::int64_t{1}}, {std::string("b2")}, {2.5}, {}}}}};
  Rows out;
  const auto budget = MemoryBudget::create(16 << 20);
  {
    const auto program = query::Program::bind(expression, params, {{"made up", std::move(table)}}, budget);
    out.status = program.status();
    if (program.ok()) {
      out.status =
          program->run(0, {[](RowIndex at) { return at; },
                           [&out](RowRange rows, const std::uint8_t* keep) {
                             require(rows.first < rows.last && rows.last <= kRows, "rows beyond the table");
                             for (RowIndex row = rows.first; row < rows.last; ++row) {
                               out.kept[row] = keep == nullptr ? 1 : keep[row - rows.first];
                             }
                           }});
    }
  }
  require(budget->usage().used == 0, "bytes of the budget are not given back");
  return out;
}

}  // namespace

std::string query(Input input) {
  static const auto table = query::testing::made_up_table(kRows);
  static const auto unbounded = std::make_shared<const Unbounded>(table);
  const std::string expression(reinterpret_cast<const char*>(input.data()), input.size());
  const Rows plain = run(expression, table), read = run(expression, unbounded);
  if (!plain.status.ok() || !read.status.ok()) {
    // Rows that statistics rule out cannot fail; nothing else may differ.
    const Status& status = read.status;
    require(!status.ok(), "only statistics make it fail");
    require(status.code() == StatusCode::invalid_argument || status.code() == StatusCode::not_found ||
                status.code() == StatusCode::budget,
            status.to_string());
    require(status.code() == StatusCode::budget || status.message().find("position ") != std::string::npos,
            "no position: " + status.to_string());
    return status.to_string() + "\n";
  }
  require(plain.kept == read.kept, "statistics change the rows");
  const Rows inverse = run("not (" + expression + "\n)", table);
  std::uint64_t n = 0;
  for (std::size_t i = 0; i < kRows; ++i) {
    n += plain.kept[i];
    require(!inverse.status.ok() || plain.kept[i] + inverse.kept[i] <= 1, "a row is in both");
  }
  return fmt::format("ok: {} of {} rows\n", n, kRows);
}

}  // namespace penstock::fuzz
