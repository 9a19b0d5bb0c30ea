// Columns of var. What ds.var shows is the first file's, brought into the order of the Dataset's genes. To
// look genes up by such a column over joined files that is not enough: a gene may be in other files only.
// var_texts() asks each list of genes in turn, and the first file that says something about a gene counts.
#include "dataset/var_texts.h"

#include <cstdint>
#include <memory>
#include <set>
#include <utility>

#include "dataset/column_take.h"
#include "source/column_map.h"
#include "source/column_text.h"

namespace penstock::internal {
namespace {

// A gene without a value has an empty text, which no name is equal to.
std::vector<std::string> as_texts(Column&& column) {
  std::vector<std::string> texts;
  if (column.kind == Column::Kind::categorical) {
    for (const std::int32_t code : column.codes) {
      texts.push_back(code < 0 ? std::string() : column.categories[static_cast<std::size_t>(code)]);
    }
    return texts;
  }
  // A copy, since texts_of() takes the column apart.
  const std::vector<std::uint8_t> missing = column.missing;
  texts = texts_of(std::move(column));
  for (std::size_t i = 0; i < missing.size(); ++i) {
    if (missing[i] != 0) texts[i].clear();
  }
  return texts;
}

}  // namespace

Result<Column> read_var(const Table& var, const std::string& name, MemoryBudget& budget) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto source, var.column(name));
  std::shared_ptr<const Categories> list;
  if (source->encoding() == TableColumn::Encoding::categorical) {
    PENSTOCK_ASSIGN_OR_RETURN(list, source->categories(budget));
  }
  PENSTOCK_ASSIGN_OR_RETURN(Column column, source->read(0, source->size(), list ? list->names.size() : 0));
  column.name = name;
  column.dtype = source->dtype();
  column.ordered = source->ordered();
  if (list) {
    column.categories = list->names;
    column.categories_kind = list->kind;
  }
  return column;
}

Result<Column> first_file_var(const OpenedFiles& opened, const VarSpace* vars, const std::string& name) {
  PENSTOCK_ASSIGN_OR_RETURN(Column column,
                            read_var(*opened.files.front().content->var(), name, *opened.budget));
  if (!opened.first_file_columns.empty()) column = take(std::move(column), opened.first_file_columns);
  return vars == nullptr ? column : take(std::move(column), vars->picks);
}

Result<std::vector<std::string>> first_file_texts(const OpenedFiles& opened, const VarSpace* vars,
                                                  const std::string& name) {
  PENSTOCK_ASSIGN_OR_RETURN(Column column, first_file_var(opened, vars, name));
  return as_texts(std::move(column));
}

Result<std::vector<std::string>> var_texts(const OpenedFiles& opened, const VarSpace* vars,
                                           const std::string& key) {
  std::vector<std::string> out(opened.n_cols);
  std::set<const ColumnMap*> seen;  // files with the same genes are looked at once
  for (const OpenedFiles::File& file : opened.files) {
    if (!seen.insert(file.columns.get()).second) continue;
    const Table& var = *file.content->var();
    const bool first = &file == &opened.files.front();
    // The first file must have the column, or the error says so; others may lack it.
    if (!first && !var.has(key)) continue;
    PENSTOCK_ASSIGN_OR_RETURN(Column column, read_var(var, key, *opened.budget));
    std::vector<std::string> texts = as_texts(std::move(column));
    for (std::size_t c = 0; c < texts.size(); ++c) {
      const std::uint32_t to = file.columns == nullptr ? static_cast<std::uint32_t>(c) : (*file.columns)[c];
      if (to != ColumnMap::kDropped && out[to].empty()) out[to] = std::move(texts[c]);
    }
  }
  if (vars == nullptr) return out;
  std::vector<std::string> of_vars;
  of_vars.reserve(vars->picks.size());
  for (const std::uint32_t pick : vars->picks)
    of_vars.push_back(pick < out.size() ? std::move(out[pick]) : std::string());
  return of_vars;
}

}  // namespace penstock::internal
