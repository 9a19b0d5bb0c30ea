// penstock info: what is in each file.
//
//     a.h5ad: 165 obs x 9,621 vars, 554 KB
//       X: csr float32/int32, chunks of 3,016, deflate(4); 96,500 non-zeros, 584.8 per row
//       obs: 2 columns
//         celltype                         category
//
// Opening reads metadata alone, so this is quick for large files, too. With --query and --select-vars it is
// the selection that is described.
#include <fmt/core.h>

#include <string>
#include <utility>

#include "command.h"
#include "penstock/memory_budget.h"

namespace penstock::cli {

namespace {

// Columns that cannot be read are listed with the reason. They are in the file, and whoever looks for one
// should find out here why it cannot be used.
nlohmann::json columns_json(const std::vector<ColumnInfo>& columns) {
  auto list = nlohmann::json::array();
  for (const ColumnInfo& column : columns) {
    nlohmann::json entry = {{"name", column.name}, {"dtype", column.dtype}, {"usable", column.usable}};
    if (!column.usable) entry["why"] = column.why;
    list.push_back(std::move(entry));
  }
  return list;
}

// Entries of obsm; none where they cannot be listed, which is nothing that the rest depends on.
std::vector<ObsmInfo> obsm_of(const Dataset& dataset) {
  auto entries = dataset.obsm_entries();
  return entries.ok() ? *std::move(entries) : std::vector<ObsmInfo>();
}

nlohmann::json obsm_json(const Dataset& dataset) {
  auto list = nlohmann::json::array();
  for (const ObsmInfo& info : obsm_of(dataset)) {
    nlohmann::json entry = {{"name", info.name}, {"usable", info.usable}};
    if (info.usable) {
      entry["dtype"] = info.dtype;
      entry["width"] = info.width;
    } else {
      entry["why"] = info.why;
    }
    list.push_back(std::move(entry));
  }
  return list;
}

nlohmann::json to_json(const Dataset& dataset, const FileInfo& file) {
  auto notes = nlohmann::json::array();
  for (const Note& note : dataset.notes()) notes.push_back(note.text);
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
          {"obsm", obsm_json(dataset)},
          {"index_bytes", dataset.index_bytes()},
          {"notes", std::move(notes)}};
}

void print_columns(const char* table, const std::vector<ColumnInfo>& columns) {
  fmt::print("  {}: {} columns\n", table, columns.size());
  for (const ColumnInfo& column : columns) {
    fmt::print("    {:<32} {}{}\n", column.name, column.dtype,
               column.usable ? std::string() : fmt::format(" (not read: {})", column.why));
  }
}

void print_obsm(const Dataset& dataset) {
  const auto entries = obsm_of(dataset);
  if (entries.empty()) return;
  fmt::print("  obsm: {} entries\n", entries.size());
  for (const ObsmInfo& info : entries) {
    fmt::print("    {:<32} {}\n", info.name,
               info.usable ? fmt::format("{} x {}", info.dtype, format_count(info.width))
                           : fmt::format("(not read: {})", info.why));
  }
}

void print_text(const Dataset& dataset, const FileInfo& file) {
  const double per_row =
      file.n_obs == 0 ? 0 : static_cast<double>(file.entries) / static_cast<double>(file.n_obs);
  // With --query: "1,200 of 50,000 obs".
  const bool whole = file.selected == file.n_obs;
  fmt::print("{}: {}{} obs x {} vars, {}\n", file.path,
             whole ? std::string() : format_count(file.selected) + " of ", format_count(file.n_obs),
             format_count(dataset.n_vars()), format_bytes(file.file_bytes));
  fmt::print("  {}: {}; {} stored values, {:.1f} per row\n", dataset.matrix(), file.layout,
             format_count(file.entries), per_row);
  for (const std::string& other : dataset.other_matrices()) fmt::print("  also: {}\n", other);
  print_columns("obs", dataset.obs_columns());
  print_columns("var", dataset.var_columns());
  print_obsm(dataset);
  for (const Note& note : dataset.notes()) fmt::print("  note: {}\n", note.text);
}

// Errors go to stderr where they occur, and the exit code is that of the last one: with --json the list holds
// the files that could be read.
int run(const OpenFlags& flags) {
  const auto files = flags.paths();
  if (!files.ok()) return fail(files.status());
  int code = kOk;
  auto list = nlohmann::json::array();
  // One by one: files need not fit together to be looked at, and one bad file does not hide the others.
  for (const std::string& path : *files) {
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
