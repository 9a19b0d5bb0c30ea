// penstock info: what is in each file.
#include <fmt/core.h>

#include <string>

#include "command.h"
#include "penstock/memory_budget.h"

namespace penstock::cli {

namespace {

nlohmann::json columns_json(const std::vector<ColumnInfo>& columns) {
  auto list = nlohmann::json::array();
  for (const ColumnInfo& column : columns) {
    nlohmann::json entry = {{"name", column.name}, {"dtype", column.dtype}, {"usable", column.usable}};
    if (!column.usable) entry["why"] = column.why;
    list.push_back(std::move(entry));
  }
  return list;
}

nlohmann::json to_json(const Dataset& dataset, const FileInfo& file) {
  return {{"path", file.path},
          {"n_obs", file.n_obs},
          {"selected", file.selected},
          {"n_vars", dataset.n_vars()},
          {"bytes", file.file_bytes},
          {"matrix",
           {{"name", dataset.matrix()},
            {"dtype", dataset.value_dtype()},
            {"layout", file.layout},
            {"entries", file.entries}}},
          {"other_matrices", dataset.other_matrices()},
          {"obs", columns_json(dataset.obs_columns())},
          {"var", columns_json(dataset.var_columns())},
          {"index_bytes", dataset.index_bytes()},
          {"notes", dataset.notes()}};
}

void print_columns(const char* table, const std::vector<ColumnInfo>& columns) {
  fmt::print("  {}: {} columns\n", table, columns.size());
  for (const ColumnInfo& column : columns) {
    fmt::print("    {:<32} {}{}\n", column.name, column.dtype,
               column.usable ? std::string() : fmt::format(" (not read: {})", column.why));
  }
}

void print_text(const Dataset& dataset, const FileInfo& file) {
  const double per_row =
      file.n_obs == 0 ? 0 : static_cast<double>(file.entries) / static_cast<double>(file.n_obs);
  const bool whole = file.selected == file.n_obs;
  fmt::print("{}: {}{} obs x {} vars, {}\n", file.path,
             whole ? std::string() : format_count(file.selected) + " of ", format_count(file.n_obs),
             format_count(dataset.n_vars()), format_bytes(file.file_bytes));
  fmt::print("  {}: {}; {} non-zeros, {:.1f} per row\n", dataset.matrix(), file.layout,
             format_count(file.entries), per_row);
  for (const std::string& other : dataset.other_matrices()) fmt::print("  also: {}\n", other);
  print_columns("obs", dataset.obs_columns());
  print_columns("var", dataset.var_columns());
  for (const std::string& note : dataset.notes()) fmt::print("  note: {}\n", note);
}

int run(const OpenFlags& flags) {
  int code = kOk;
  auto list = nlohmann::json::array();
  // One by one: files need not fit together to be looked at, and one bad file does not hide the others.
  for (const std::string& path : flags.files) {
    const auto dataset = flags.open({path});
    if (!dataset.ok()) {
      code = fail(dataset.status());
      continue;
    }
    const FileInfo file = (*dataset)->files().front();
    if (flags.json) {
      list.push_back(to_json(**dataset, file));
    } else {
      print_text(**dataset, file);
    }
  }
  if (flags.json) print_json(list);
  return code;
}

}  // namespace

Command add_info(CLI::App& main) {
  auto* app = main.add_subcommand("info", "What is in each file: shape, encodings, chunks, codecs, columns");
  auto flags = std::make_shared<OpenFlags>();
  flags->add_to(*app);
  flags->add_selection_to(*app);
  return {app, [flags] { return run(*flags); }};
}

}  // namespace penstock::cli
