// Prints the flat and the list columns of a Parquet file as JSON, for tests that compare them with pyarrow:
//   parquet_dump FILE
// {"rows": n, "columns": {"name": {"dtype": ..., "values": [...]} or {"error": code, "message": ...}},
// "lists": {"path": likewise}, "lists_in_groups": those of top-level fields with several columns}, or
// {"error": code, "message": ...} when the file cannot be opened.
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "io/file.h"
#include "parquet/metadata.h"
#include "parquet/table.h"
#include "parquet/testing/dump_list.h"

namespace {

using penstock::Column;
using penstock::Status;
using Json = nlohmann::json;

Json error_of(const Status& status) {
  return {{"error", std::string(penstock::status_code_name(status.code()))}, {"message", status.message()}};
}

Json number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

Json values_of(const Column& column) {
  Json out = Json::array();
  for (std::uint64_t i = 0; i < column.size(); ++i) {
    if (!column.missing.empty() && column.missing[i] != 0) {
      out.push_back(nullptr);
    } else if (column.kind == Column::Kind::string) {
      out.push_back(column.strings[i]);
    } else if (column.kind == Column::Kind::integer) {
      out.push_back(column.is_unsigned ? Json(static_cast<std::uint64_t>(column.integers[i]))
                                       : Json(column.integers[i]));
    } else if (column.kind == Column::Kind::floating) {
      out.push_back(number(column.floats[i]));
    } else {
      out.push_back(column.booleans[i] != 0);
    }
  }
  return out;
}

Json dump(const char* path) {
  const auto file = penstock::open_posix_file(path);
  if (!file.ok()) return error_of(file.status());
  const auto budget = penstock::MemoryBudget::create(1'000'000'000);
  const auto metadata = penstock::parquet::read_metadata(**file, *budget);
  if (!metadata.ok()) return error_of(metadata.status());
  const auto made = penstock::parquet::make_table(*file, **metadata, budget, {});
  if (!made.ok()) return error_of(made.status());
  const auto& table = *made;
  Json out = {{"rows", table->n_rows()}, {"columns", Json::object()}};
  for (const std::string& name : table->columns()) {
    const auto column = table->column(name);
    if (!column.ok()) {
      out["columns"][name] = error_of(column.status());
      continue;
    }
    const auto values = (*column)->read(0, (*column)->size(), 0);
    out["columns"][name] = values.ok() ? Json{{"dtype", (*column)->dtype()}, {"values", values_of(*values)}}
                                       : error_of(values.status());
  }
  for (std::size_t c = 0; c < (*metadata)->columns.size(); ++c) {
    const penstock::parquet::Leaf& leaf = (*metadata)->columns[c];
    if (leaf.shape != penstock::parquet::Leaf::Shape::list) continue;
    const auto rows = penstock::parquet::dump_list(**file, **metadata, c);
    const char* where = (*metadata)->find(leaf.name) == nullptr ? "lists_in_groups" : "lists";
    out[where][leaf.path] = rows.ok() ? Json{{"values", *rows}} : error_of(rows.status());
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string text = dump(argv[1]).dump(-1, ' ', true, Json::error_handler_t::replace);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}
