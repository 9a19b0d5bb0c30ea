// One obs column over all files. Every question about it goes through the same two steps, whose results are
// kept:
//
//     merged(name)   opens the column in each file and finds what they are together (kind, dtype, lists)
//     united(name)   for text and categories: one sorted list, and for each file a table from its codes to it
//
// How types of files come together, as pandas and numpy would have it:
//
//     int32, int8            integers, "int64"            strings, categories    categories
//     int64, float32         floats, "float64"            strings, strings       strings
//     uint64, int64          floats: no integer type      int32, strings         refused, naming both files
//                            holds both
#include "dataset/obs_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "base/guarded.h"
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

// Categories of numbers are kept as the text that spells them.
double number_of(const std::string& text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Lists of one kind compare as what they spell: numbers by value (the signs of 64-bit integers included).
// By value, and not as text: 9 before 10, -10 before -9. Integers are compared by sign, length and digits,
// since no number type holds both int64 and uint64.
bool name_less(Kind kind, const std::string& a, const std::string& b) {
  if (kind == Kind::floating) {
    const double x = number_of(a), y = number_of(b);
    // Equal numbers that are spelled differently still need an order.
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

// Whether an integer that is spelled so is a float64; of 64 bits, of either sign.
bool is_exact(const std::string& text) {
  std::int64_t value = 0;
  const char *first = text.data(), *last = first + text.size();
  if (std::from_chars(first, last, value).ec == std::errc()) return exact_in_double(value, false);
  std::uint64_t large = 0;
  return std::from_chars(first, last, large).ec == std::errc() &&
         exact_in_double(static_cast<std::int64_t>(large), true);
}

Status status_of(const Status& status) { return status; }
template <class T>
Status status_of(const Result<T>& result) {
  return result.status();
}

// What f() gives; a refusal says which column it was for, and what to do.
template <class F>
auto for_column(const std::string& name, F&& f) -> decltype(f()) {
  auto result = guarded(std::forward<F>(f));
  Status status = status_of(result);
  if (status.code() != StatusCode::budget) return result;
  // errno: the system refused, and not the budget.
  if (status.system_errno() != 0) return std::move(status).with_context(fmt::format("obs column '{}'", name));
  // A column is read with its list open: that one's refusal says it already.
  if (status.facts().way_out(Option::index_memory) != nullptr) return result;
  const std::string why = fmt::format(
      "obs column '{}' does not fit in what index_memory has left: {}; open the files with a larger "
      "index_memory (--index-memory of the command)",
      name, status.message());
  return std::move(status).reworded(why).with_way_out(Option::index_memory);
}

}  // namespace

std::vector<ColumnInfo> ObsTable::columns() const {
  std::vector<ColumnInfo> infos;
  for (const std::string& name : files_.front().obs->columns()) infos.push_back(info(name));
  return infos;
}

ColumnInfo ObsTable::info(const std::string& name) const {
  ColumnInfo info = files_.front().obs->info(name);
  for (const File& file : files_) {
    // Of the other files only names are looked at: to open the column in thousands of them would read all of
    // their footers.
    if (!info.usable || file.obs->has(name)) continue;
    info.usable = false;
    info.why = fmt::format("{}: no column '{}'", file.obs->where(), name);
  }
  return info;
}

Status ObsTable::mismatch(const std::string& name, std::size_t a, const std::string& a_type, std::size_t b,
                          const std::string& b_type) const {
  return Status::invalid_argument(fmt::format("obs column '{}' does not fit together: {} in {}, but {} in {}",
                                              name, a_type, files_[a].path, b_type, files_[b].path));
}

// The kind of the whole: booleans only if all are, floats if any is, integers otherwise. Booleans beside
// numbers count as 0 and 1.
Status ObsTable::merge_numbers(const std::string& name, Merged& column) const {
  bool all_boolean = true, any_floating = false, any_signed = false, any_u64 = false;
  column.dtype = column.files.front()->dtype();
  for (std::size_t i = 0; i < column.files.size(); ++i) {
    const TableColumn& file = *column.files[i];
    if (is_text(file) || is_categorical(file)) {
      return mismatch(name, 0, column.files.front()->dtype(), i, file.dtype());
    }
    // An empty dtype says that files differ; it is named by kind below.
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

// Strings beside categories make categories. The list and its order are kept only where every file has the
// same one; otherwise the union takes their place (unite).
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
  // Held while the column is opened, so that two threads that ask for it at once read it once.
  const MutexLock lock(mutex_);
  if (const auto found = merged_.find(name); found != merged_.end()) return found->second;
  PENSTOCK_ASSIGN_OR_RETURN(Merged opened, for_column(name, [&] { return open(name); }));
  return merged_[name] = std::make_shared<const Merged>(std::move(opened));
}

// One list of categories for the column of all files, sorted, and for each file a table from its codes to
// those of the list. Two files, with b, a and c, b:
//
//     names   a b c
//     codes   file 0: -1 1 0      file 1: -1 2 1
//
// A table's first entry is for a code of -1, a missing value: what a file stores as code k is entry k + 1.
//
// Categories may be numbers. They are compared as such, so that 9 comes before 10; and a file of integers
// beside one of floats makes all of them floats, "1" and "1.0" the same category. An integer that no float64
// is equal to would fall together with its neighbour, which is refused.
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

  for (std::size_t i = 0; i < n && result.kind == Kind::floating; ++i) {
    if (kinds[i] != Kind::integer) continue;
    const auto found = std::find_if_not(names[i]->begin(), names[i]->end(), is_exact);
    if (found == names[i]->end()) continue;
    return Status::invalid_argument(
        fmt::format("obs column '{}' does not fit together: {} in {} is no float64 exactly, and {} has "
                    "categories that are floats",
                    name, *found, files_[i].path, files_[known].path));
  }

  // Asked for as if no two lists had a name in common: a table of the names and their list, and each file's
  // codes. What the names turn out to share is given back below.
  constexpr ByteCount kName = 2 * sizeof(std::string) + 4 * sizeof(void*);
  ByteCount most = 0;
  for (std::size_t i = 0; i < n; ++i) {
    most += (names[i]->size() + 1) * sizeof(std::int32_t);
    if (i == 0 || names[i] != names[0]) most += 2 * string_bytes(*names[i]) + names[i]->size() * kName;
  }
  PENSTOCK_ASSIGN_OR_RETURN(result.held,
                            reserve_for(column.files.front()->where(), *budget_, MemoryTag::obs, most));
  std::unordered_map<std::string, std::int32_t> codes;
  for (std::size_t i = 0; i < n; ++i) {
    // Lists that are shared are the same vector, and would add nothing.
    if (i > 0 && names[i] == names[0]) continue;
    for (const std::string& text : *names[i]) codes.try_emplace(spelled_as(result.kind, kinds[i], text), 0);
  }
  // Two passes over the names: all of them have to be known before the first can have its place.
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
  result.held.resize(bytes);  // less than it was
  return result;
}

// Made at the first use, since only labels, splits and columns of different lists need it, and kept, as it is
// the same for all of them.
Result<std::shared_ptr<const ObsTable::Union>> ObsTable::united(const std::string& name,
                                                                const Merged& column) const {
  const MutexLock lock(mutex_);
  if (const auto found = united_.find(name); found != united_.end()) return found->second;
  PENSTOCK_ASSIGN_OR_RETURN(Union made, for_column(name, [&] { return unite(name, column); }));
  return united_[name] = std::make_shared<const Union>(std::move(made));
}

Result<Column> ObsTable::read(const std::string& name, std::span<const FilePart> parts) const {
  PENSTOCK_ASSIGN_OR_RETURN(const auto column, merged(name));
  return for_column(name, [&]() -> Result<Column> {
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
        // A file of strings among files of categories: its strings were coded for the union, and are
        // categories now.
        source.coded = all->coded[i] ? all->coded[i]->column.get() : nullptr;
      }
      PENSTOCK_RETURN_IF_ERROR(append_selected(source, parts[i], out));
    }
    return out;
  });
}

// Slabs without a selected row are not read: a selection of one file's rows reads that file's names.
Result<std::vector<std::string>> ObsTable::names(std::span<const FilePart> parts) const {
  return for_column("index", [&]() -> Result<std::vector<std::string>> {
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

// boolean, boolean is boolean; boolean, integer is integer; integer, float32 is float64; float32, float64 is
// float64.
ObsKind ObsTable::number_kind(const Merged& column) const {
  ObsKind kind = ObsKind::boolean;
  for (const auto& file : column.files) {
    // Labels are of one kind over all files, so that batches are. uint8 and int32 are both integers here.
    const ObsKind k = file->stream(0)->kind();
    if (kind == k || k == ObsKind::boolean) continue;
    // float32 holds booleans exactly, but not integers: those go to float64 together.
    kind = kind == ObsKind::boolean ? k : ObsKind::floating64;
  }
  return kind;
}

// A column as a label of batches. For categories each file gets one table, from its own codes to those of the
// label, so that a block's rows cost one look-up each:
//
//     union a b c, given c a             chosen: -1 1 -1 0     (entry 0 for -1; b is not in the given list)
//     a file's table to the union        -1 1 0                   its list is b, a
//     and through `chosen`               -1 -1 1                  b is dropped, a is 1
Result<LabelColumn> ObsTable::label(const std::string& name, const std::vector<std::string>* given) const {
  PENSTOCK_ASSIGN_OR_RETURN(const auto column, merged(name));
  LabelColumn label;
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
  // The caller's list may have another order, or leave values out, which become -1. So a file's code goes
  // through two tables, the file's and this one, which are made one below.
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
      // Keeps the whole of it alive, its reservation included.
      file.column = std::shared_ptr<const ObsColumn>(coded, coded->column.get());
    } else {
      file.column = column->files[i]->stream(column->lists[i]->names.size());
    }
  }
  return label;
}

// A code over all files is a value like any other number. What a missing value has for a number does not
// matter, as `missing` says it apart.
Status ObsTable::keys(const std::string& name, std::span<const FilePart> parts,
                      const std::function<Status(std::span<const ObsKey>)>& sink) const {
  PENSTOCK_ASSIGN_OR_RETURN(const auto column, merged(name));
  if (column->kind == Kind::floating) {
    return Status::invalid_argument(
        fmt::format("obs column '{}' is {}: nearly every row of it is a group of its own; use a column of "
                    "strings, categories, integers or booleans (pandas.cut makes categories of numbers)",
                    name, column->dtype));
  }
  return for_column(name, [&]() -> Status {
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
