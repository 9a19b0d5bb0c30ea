#include "dataset/obs_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <new>
#include <unordered_map>

#include "dataset/column_append.h"
#include "dataset/selection.h"
#include "memory/reserve_for.h"
#include "source/column_text.h"
#include "source/numbers.h"

namespace penstock::internal {

using Encoding = TableColumn::Encoding;
using Kind = Column::Kind;

namespace {

bool is_text(const TableColumn& column) { return column.encoding() == Encoding::string; }
bool is_categorical(const TableColumn& column) { return column.encoding() == Encoding::categorical; }
bool is_boolean(const TableColumn& column) { return column.encoding() == Encoding::boolean; }

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::categorical:
      return "categories";
    case Kind::string:
      return "strings";
    case Kind::integer:
      return "integers";
    case Kind::floating:
      return "floats";
    case Kind::boolean:
      return "booleans";
  }
  return "?";
}

double number_of(const std::string& text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Lists of one kind compare as what they spell: numbers by value (the signs of 64-bit integers included).
bool name_less(Kind kind, const std::string& a, const std::string& b) {
  if (kind == Kind::floating) {
    const double x = number_of(a), y = number_of(b);
    return x != y ? x < y : a < b;
  }
  if (kind == Kind::integer) {
    const bool a_negative = a.starts_with('-'), b_negative = b.starts_with('-');
    if (a_negative != b_negative) return a_negative;
    if (a.size() != b.size()) return (a.size() < b.size()) != a_negative;
    return a_negative ? a > b : a < b;
  }
  return a < b;
}

// Integers among floats are spelled as floats, so that equal numbers are one category.
std::string spelled_as(Kind kind, Kind from, const std::string& text) {
  return kind == Kind::floating && from == Kind::integer ? float_text(number_of(text)) : text;
}

template <class F>
auto guarded(const std::string& name, F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    return Status::budget(fmt::format("obs column '{}': the system has no memory for its values", name));
  }
}

}  // namespace

std::vector<ColumnInfo> ObsTable::columns() const {
  std::vector<ColumnInfo> infos;
  for (const std::string& name : files_.front().obs->columns()) {
    ColumnInfo info = files_.front().obs->info(name);
    for (const File& file : files_) {
      if (!info.usable || file.obs->has(name)) continue;
      info.usable = false;
      info.why = fmt::format("{}: no column '{}'", file.obs->where(), name);
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

Status ObsTable::mismatch(const std::string& name, std::size_t a, const std::string& a_type, std::size_t b,
                          const std::string& b_type) const {
  return Status::invalid_argument(fmt::format("obs column '{}' does not fit together: {} in {}, but {} in {}",
                                              name, a_type, files_[a].path, b_type, files_[b].path));
}

Status ObsTable::merge_numbers(const std::string& name, Merged& column) const {
  bool all_boolean = true, any_floating = false, any_signed = false, any_u64 = false;
  column.dtype = column.files.front()->dtype();
  for (std::size_t i = 0; i < column.files.size(); ++i) {
    const TableColumn& file = *column.files[i];
    if (is_text(file) || is_categorical(file)) {
      return mismatch(name, 0, column.files.front()->dtype(), i, file.dtype());
    }
    if (file.dtype() != column.dtype) column.dtype.clear();
    if (is_boolean(file)) continue;
    all_boolean = false;
    const NumericType type = file.number();
    any_floating |= is_floating(type);
    any_u64 |= type == NumericType::u64;
    any_signed |= type == NumericType::i8 || type == NumericType::i16 || type == NumericType::i32 ||
                  type == NumericType::i64;
  }
  // As numpy does: no integer type holds both uint64 and negative numbers.
  const bool floating = any_floating || (any_u64 && any_signed);
  column.kind = all_boolean ? Kind::boolean : floating ? Kind::floating : Kind::integer;
  column.is_unsigned = any_u64 && column.kind == Kind::integer;
  if (column.dtype.empty()) {
    column.dtype = all_boolean ? "bool" : floating ? "float64" : column.is_unsigned ? "uint64" : "int64";
  }
  return {};
}

Status ObsTable::merge_categories(const std::string& name, Merged& column) const {
  column.kind = Kind::string;
  column.dtype = "string";
  column.same_list = column.ordered = true;
  column.lists.resize(column.files.size());
  for (std::size_t i = 0; i < column.files.size(); ++i) {
    const TableColumn& file = *column.files[i];
    if (!is_text(file) && !is_categorical(file)) {
      return mismatch(name, 0, column.files.front()->dtype(), i, file.dtype());
    }
    column.ordered &= file.ordered();
    if (!is_categorical(file)) {
      column.same_list = false;
      continue;
    }
    column.kind = Kind::categorical;
    column.dtype = "category";
    PENSTOCK_ASSIGN_OR_RETURN(column.lists[i], file.categories(*budget_));
    const auto& first = column.lists.front();
    column.same_list &=
        first && first->kind == column.lists[i]->kind && first->names == column.lists[i]->names;
    // Lists that are the same are kept once: files of a collection share their categories as a rule.
    if (column.same_list) column.lists[i] = first;
  }
  column.ordered &= column.same_list;
  return {};
}

Result<ObsTable::Merged> ObsTable::open(const std::string& name) const {
  Merged column;
  for (const File& file : files_) {
    PENSTOCK_ASSIGN_OR_RETURN(auto opened, file.obs->column(name));
    column.files.push_back(std::move(opened));
  }
  const TableColumn& first = *column.files.front();
  PENSTOCK_RETURN_IF_ERROR(is_text(first) || is_categorical(first) ? merge_categories(name, column)
                                                                   : merge_numbers(name, column));
  return column;
}

Result<std::shared_ptr<const ObsTable::Merged>> ObsTable::merged(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  if (const auto found = merged_.find(name); found != merged_.end()) return found->second;
  PENSTOCK_ASSIGN_OR_RETURN(Merged opened, guarded(name, [&] { return open(name); }));
  return merged_[name] = std::make_shared<const Merged>(std::move(opened));
}

Result<ObsTable::Union> ObsTable::unite(const std::string& name, const Merged& column) const {
  Union result;
  const std::size_t n = column.files.size();
  result.coded.resize(n);
  // Every file's names and what they spell; an empty list fits anything.
  std::vector<const std::vector<std::string>*> names(n);
  std::vector<Kind> kinds(n, Kind::string);
  std::size_t known = n;
  for (std::size_t i = 0; i < n; ++i) {
    if (column.lists[i]) {
      names[i] = &column.lists[i]->names;
      kinds[i] = column.lists[i]->kind;
    } else {
      PENSTOCK_ASSIGN_OR_RETURN(result.coded[i], code_strings(*column.files[i], *budget_));
      names[i] = &result.coded[i]->names;
    }
    if (names[i]->empty()) continue;
    if (known == n) {
      known = i;
      result.kind = kinds[i];
    } else if (kinds[i] != result.kind) {
      const bool numbers = (kinds[i] == Kind::integer && result.kind == Kind::floating) ||
                           (kinds[i] == Kind::floating && result.kind == Kind::integer);
      if (!numbers) {
        return mismatch(name, known, fmt::format("a list of {}", kind_name(kinds[known])), i,
                        fmt::format("a list of {}", kind_name(kinds[i])));
      }
      result.kind = Kind::floating;
    }
  }

  std::unordered_map<std::string, std::int32_t> codes;
  for (std::size_t i = 0; i < n; ++i) {
    if (i > 0 && names[i] == names[0]) continue;
    for (const std::string& text : *names[i]) codes.try_emplace(spelled_as(result.kind, kinds[i], text), 0);
  }
  result.names.reserve(codes.size());
  for (const auto& [text, code] : codes) result.names.push_back(text);
  const Kind kind = result.kind;
  std::sort(result.names.begin(), result.names.end(),
            [kind](const std::string& a, const std::string& b) { return name_less(kind, a, b); });
  for (std::size_t i = 0; i < result.names.size(); ++i) codes[result.names[i]] = static_cast<std::int32_t>(i);
  ByteCount bytes = string_bytes(result.names);
  result.codes.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    result.codes[i].reserve(names[i]->size() + 1);
    result.codes[i].push_back(-1);
    for (const std::string& text : *names[i]) {
      result.codes[i].push_back(codes.find(spelled_as(kind, kinds[i], text))->second);
    }
    bytes += result.codes[i].size() * sizeof(std::int32_t);
  }
  PENSTOCK_ASSIGN_OR_RETURN(result.held,
                            reserve_for(column.files.front()->where(), *budget_, MemoryTag::obs, bytes));
  return result;
}

Result<std::shared_ptr<const ObsTable::Union>> ObsTable::united(const std::string& name,
                                                                const Merged& column) const {
  const std::lock_guard lock(mutex_);
  if (const auto found = united_.find(name); found != united_.end()) return found->second;
  PENSTOCK_ASSIGN_OR_RETURN(Union made, guarded(name, [&] { return unite(name, column); }));
  return united_[name] = std::make_shared<const Union>(std::move(made));
}

Result<Column> ObsTable::read(const std::string& name, std::span<const FilePart> parts) const {
  PENSTOCK_ASSIGN_OR_RETURN(const auto column, merged(name));
  return guarded(name, [&]() -> Result<Column> {
    Column out;
    out.kind = column->kind;
    out.name = name;
    out.dtype = column->dtype;
    out.is_unsigned = column->is_unsigned;
    out.ordered = column->ordered;
    std::shared_ptr<const Union> all;
    if (column->kind == Kind::categorical) {
      if (column->same_list) {
        out.categories = column->lists.front()->names;
        out.categories_kind = column->lists.front()->kind;
      } else {
        PENSTOCK_ASSIGN_OR_RETURN(all, united(name, *column));
        out.categories = all->names;
        out.categories_kind = all->kind;
      }
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const TableColumn& file = *column->files[i];
      ColumnSource source{.column = &file,
                          .n_categories = column->kind == Kind::categorical && column->lists[i]
                                              ? column->lists[i]->names.size()
                                              : 0};
      if (all) {
        source.codes = &all->codes[i];
        source.coded = all->coded[i] ? all->coded[i]->column.get() : nullptr;
      }
      PENSTOCK_RETURN_IF_ERROR(append_selected(source, parts[i], out));
    }
    return out;
  });
}

Result<std::vector<std::string>> ObsTable::names(std::span<const FilePart> parts) const {
  return guarded("index", [&]() -> Result<std::vector<std::string>> {
    std::vector<std::string> out;
    out.reserve(selected_rows(parts));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      PENSTOCK_ASSIGN_OR_RETURN(auto index, files_[i].obs->index());
      PENSTOCK_ASSIGN_OR_RETURN(const auto reader, TextReader::open(std::move(index), *budget_));
      const std::uint64_t n = reader.size(), step = reader.rows_at_once();
      RowCursor cursor(parts[i]);
      for (std::uint64_t first = 0; first < n; first += step) {
        const std::uint64_t last = std::min(n, first + step);
        if (!cursor.before(last)) continue;
        PENSTOCK_ASSIGN_OR_RETURN(auto texts, reader.read(first, last - first));
        while (cursor.before(last)) out.push_back(std::move(texts[cursor.next() - first]));
      }
    }
    return out;
  });
}

Result<std::vector<std::string>> ObsTable::categories(const std::string& name) const {
  PENSTOCK_ASSIGN_OR_RETURN(const auto column, merged(name));
  if (column->kind != Kind::categorical && column->kind != Kind::string) {
    return Status::invalid_argument(
        fmt::format("obs column '{}' is {}: numbers have no categories", name, column->dtype));
  }
  PENSTOCK_ASSIGN_OR_RETURN(const auto all, united(name, *column));
  return all->names;
}

ObsKind ObsTable::number_kind(const Merged& column) const {
  ObsKind kind = ObsKind::boolean;
  for (const auto& file : column.files) {
    const ObsKind k = file->stream(0)->kind();
    if (kind == k || k == ObsKind::boolean) continue;
    // float32 holds booleans exactly, but not integers: those go to float64 together.
    kind = kind == ObsKind::boolean ? k : ObsKind::floating64;
  }
  return kind;
}

Result<Label> ObsTable::label(const std::string& name, const std::vector<std::string>* given) const {
  PENSTOCK_ASSIGN_OR_RETURN(const auto column, merged(name));
  Label label;
  label.name = name;
  label.files.resize(column->files.size());
  if (column->kind != Kind::categorical && column->kind != Kind::string) {
    if (given != nullptr) {
      return Status::invalid_argument(
          fmt::format("obs column '{}' is {}: numbers take no categories", name, column->dtype));
    }
    label.kind = number_kind(*column);
    for (std::size_t i = 0; i < label.files.size(); ++i) {
      label.files[i].column = column->files[i]->stream(0);
    }
    return label;
  }

  PENSTOCK_ASSIGN_OR_RETURN(const auto all, united(name, *column));
  label.kind = ObsKind::category;
  label.categories = given != nullptr ? *given : all->names;
  // Code in the union + 1 -> code in the given list.
  std::vector<std::int32_t> chosen;
  if (given != nullptr) {
    std::unordered_map<std::string_view, std::int32_t> codes;
    for (std::size_t i = 0; i < given->size(); ++i) {
      if (!codes.try_emplace((*given)[i], static_cast<std::int32_t>(i)).second) {
        return Status::invalid_argument(
            fmt::format("the categories given for obs column '{}' have '{}' twice", name, (*given)[i]));
      }
    }
    chosen.push_back(-1);
    for (const std::string& text : all->names) {
      const auto found = codes.find(text);
      chosen.push_back(found == codes.end() ? -1 : found->second);
    }
  }
  for (std::size_t i = 0; i < label.files.size(); ++i) {
    auto& file = label.files[i];
    file.codes = all->codes[i];
    if (given != nullptr) {
      for (std::int32_t& code : file.codes) code = chosen[static_cast<std::size_t>(code + 1)];
    }
    if (const auto& coded = all->coded[i]) {
      file.column = std::shared_ptr<const ObsColumn>(coded, coded->column.get());
    } else {
      file.column = column->files[i]->stream(column->lists[i]->names.size());
    }
  }
  return label;
}

Status ObsTable::keys(const std::string& name, std::span<const FilePart> parts,
                      const std::function<Status(std::span<const ObsKey>)>& sink) const {
  PENSTOCK_ASSIGN_OR_RETURN(const auto column, merged(name));
  if (column->kind == Kind::floating) {
    return Status::invalid_argument(
        fmt::format("obs column '{}' is {}: nearly every row of it is a group of its own; use a column of "
                    "strings, categories, "
                    "integers or booleans (pandas.cut makes categories of numbers)",
                    name, column->dtype));
  }
  return guarded(name, [&]() -> Status {
    const bool coded = column->kind == Kind::categorical || column->kind == Kind::string;
    std::shared_ptr<const Union> all;
    if (coded) {
      PENSTOCK_ASSIGN_OR_RETURN(all, united(name, *column));
    }
    constexpr std::size_t kAtOnce = 4096;
    std::vector<ObsKey> keys;
    keys.reserve(kAtOnce);
    const auto flush = [&]() -> Status {
      PENSTOCK_RETURN_IF_ERROR(sink(keys));
      keys.clear();
      return {};
    };
    for (std::size_t i = 0; i < parts.size(); ++i) {
      ColumnSource source{.column = column->files[i].get()};
      if (coded) {
        source.n_categories = column->lists[i] ? column->lists[i]->names.size() : 0;
        source.codes = &all->codes[i];
        source.coded = all->coded[i] ? all->coded[i]->column.get() : nullptr;
      }
      PENSTOCK_RETURN_IF_ERROR(
          for_each_selected(source, parts[i], [&](Column& slab, std::size_t row) -> Status {
            ObsKey key;
            if (coded) {
              const std::int32_t code = (*source.codes)[static_cast<std::size_t>(slab.codes[row] + 1)];
              key = {std::max(code, 0), code < 0};
            } else {
              key.missing = !slab.missing.empty() && slab.missing[row] != 0;
              if (!key.missing)
                key.value = slab.kind == Kind::boolean ? slab.booleans[row] : slab.integers[row];
            }
            keys.push_back(key);
            return keys.size() == kAtOnce ? flush() : Status();
          }));
    }
    return keys.empty() ? Status() : flush();
  });
}

}  // namespace penstock::internal
