// A column that a query names, in all files as one. Each file has opened its own column with its own type;
// the query is checked once, against the type that the concatenated column would have in ds.obs, and values
// of each file are converted to that when they are read (NumberColumn in steps_numbers.cc).
//
//     file A    int8      file B    float32      over both    float64
//     file A    categories a, b                  over both    text; no order, since B has another list
//     file B    categories b, c
//
// What cannot be one column, strings in one file and numbers in another, is an error that names both files.
#include "query/columns.h"

#include <fmt/format.h>

#include "base/names.h"

namespace penstock::query {

namespace {

using Encoding = TableColumn::Encoding;

NumberType type_of(const TableColumn& column) {
  if (column.encoding() == Encoding::boolean) return {true, NumericType::u8};
  // numpy has no bfloat16; its values are float32 values.
  return {false, column.number() == NumericType::bf16 ? NumericType::f32 : column.number()};
}

bool is_text(const TableColumn& column) {
  return column.encoding() == Encoding::string || column.encoding() == Encoding::categorical;
}

}  // namespace

std::string NamedColumn::describe() const {
  const std::string type_name = !text         ? name_of(type)
                                : categorical ? ordered ? "ordered category" : "category"
                                              : "string";
  return fmt::format("column '{}' ({})", name, type_name);
}

Result<NamedColumn> open_column(const std::string& name, bool quoted, std::span<const FileTable> files,
                                MemoryBudget& budget, const SourceText& source, std::size_t at) {
  NamedColumn out;
  out.name = name;
  const Table& first = *files.front().obs;
  if (!first.has(name)) {
    // A column that is called index comes first, as in pandas.
    out.is_index = name == "index" && !quoted;
    if (!out.is_index) {
      return source.not_found(
          at, fmt::format("obs has no column '{}'; {}", name, suggest_names(name, first.columns())));
    }
  }
  for (const FileTable& file : files) {
    if (!out.is_index && !file.obs->has(name)) {
      return source.not_found(at, fmt::format("{}: obs has no column '{}', which {} has; {}", file.path, name,
                                              files.front().path, suggest_names(name, file.obs->columns())));
    }
    NamedColumn::PerFile opened;
    PENSTOCK_ASSIGN_OR_RETURN(opened.column, out.is_index ? file.obs->index() : file.obs->column(name));
    const TableColumn& column = *opened.column;
    const bool text = is_text(column);
    if (out.files.empty()) {
      out.text = text;
      out.same_list = out.ordered = true;
    } else if (out.text != text) {
      return source.error(
          at, fmt::format("obs column '{}' does not fit together: {} in {}, but {} in {}", name,
                          out.files.front().column->dtype(), files.front().path, column.dtype(), file.path));
    }
    out.nullable |= column.masked() && column.encoding() != Encoding::categorical;
    if (!text) {
      opened.type = type_of(column);
      // As ds.obs has it: what differs becomes the widest of its kind.
      if (out.files.empty() || out.type == opened.type) {
        out.type = opened.type;
      } else {
        NumberType both = promote(out.type, opened.type);
        if (!both.boolean) {
          both.type = both.floating()      ? NumericType::f64
                      : both.is_unsigned() ? NumericType::u64
                                           : NumericType::i64;
        }
        out.type = both;
      }
    } else if (column.encoding() == Encoding::categorical) {
      PENSTOCK_ASSIGN_OR_RETURN(opened.categories, column.categories(budget));
      out.categorical = true;
      out.ordered &= column.ordered();
      if (!out.files.empty()) {
        const auto& list = out.files.front().categories;
        out.same_list &=
            list && list->kind == opened.categories->kind && list->names == opened.categories->names;
        // Thousands of files mostly have the same categories; the second list is given back.
        if (out.same_list) opened.categories = list;  // kept once
      }
    } else {
      out.same_list = false;
    }
    out.files.push_back(std::move(opened));
  }
  // Codes say which of two categories is larger only where both count in the same list.
  out.ordered &= out.categorical && out.same_list;
  // A missing category is its code -1, which == and != treat as unequal; pandas' NA is for masks.
  out.nullable &= !(out.text && out.categorical);
  return out;
}

}  // namespace penstock::query
