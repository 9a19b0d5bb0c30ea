#include "dataset/var_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/names.h"
#include "dataset/opened_files.h"
#include "memory/reserve_for.h"
#include "source/column_text.h"
#include "source/mapped_source.h"

namespace penstock::internal {

Result<std::shared_ptr<const VarSpace>> select_columns(const OpenedFiles& opened, const VarSpace* from,
                                                       std::span<const std::int64_t> columns,
                                                       std::span<const std::string> zeros) {
  const std::vector<std::string>& names = from != nullptr ? from->names : opened.var_names;
  const std::size_t n = names.size();
  auto out = std::make_shared<VarSpace>();
  // And what a source of each file takes, with its histogram of row lengths.
  ByteCount bytes = opened.files.size() * sizeof(MappedSource) + n / 8 + 1 +
                    columns.size() * (sizeof(std::string) + sizeof(std::uint32_t));
  for (const std::int64_t c : columns) {
    if (c >= 0 && static_cast<std::size_t>(c) < n) bytes += names[static_cast<std::size_t>(c)].size();
  }
  for (const std::string& name : zeros) bytes += name.size();
  PENSTOCK_ASSIGN_OR_RETURN(
      out->held, reserve_for("the names of the genes selected", *opened.budget, MemoryTag::index, bytes));
  out->names.reserve(columns.size());
  out->picks.reserve(columns.size());
  std::vector<bool> taken(n);
  std::size_t zero = 0;
  for (const std::int64_t c : columns) {
    if (c == kZero) {
      out->names.push_back(zeros[zero++]);
      out->picks.push_back(ColumnMap::kDropped);
      continue;
    }
    const auto column = static_cast<std::size_t>(c);
    if (c < 0 || column >= n) {
      return Status::invalid_argument(fmt::format("gene {} of {}", c, format_count(n)));
    }
    if (taken[column]) {
      return Status::invalid_argument(
          fmt::format("gene {} ('{}') is given twice: a selection has each gene once", c, names[column]));
    }
    taken[column] = true;
    if (std::find(zeros.begin(), zeros.end(), names[column]) != zeros.end()) {
      return Status::invalid_argument(
          fmt::format("a gene of zeros would be called '{}', as another selected gene is", names[column]));
    }
    out->names.push_back(names[column]);
    out->picks.push_back(from != nullptr ? from->picks[column] : static_cast<std::uint32_t>(column));
  }
  return std::shared_ptr<const VarSpace>(std::move(out));
}

Result<std::vector<std::int64_t>> find_names(std::span<const std::string> names,
                                             std::span<const std::string> wanted, MissingVar missing,
                                             const std::string& what, std::vector<std::string>* zeros) {
  struct Place {
    std::int64_t column = 0;
    bool several = false, taken = false;
  };
  std::unordered_map<std::string_view, Place> places;
  places.reserve(wanted.size());
  for (const std::string& name : wanted) {
    if (!places.emplace(name, Place{kZero}).second) {
      return Status::invalid_argument(
          fmt::format("{} '{}' is asked for twice: a selection has each gene once", what, name));
    }
  }
  for (std::size_t c = 0; c < names.size(); ++c) {
    if (names[c].empty()) continue;
    const auto found = places.find(names[c]);
    if (found == places.end()) continue;
    found->second.several = found->second.column != kZero;
    found->second.column = static_cast<std::int64_t>(c);
  }
  std::vector<std::int64_t> columns;
  std::vector<std::string> absent;
  columns.reserve(wanted.size());
  for (const std::string& name : wanted) {
    const Place& place = places.at(name);
    if (place.several) {
      return Status::invalid_argument(fmt::format(
          "{} '{}' names several genes: select by number, or by another column of var with key=", what,
          name));
    }
    if (place.column == kZero) {
      absent.push_back(name);
      if (missing == MissingVar::drop) continue;
    }
    columns.push_back(place.column);
  }
  if (missing == MissingVar::error && !absent.empty()) {
    const std::string many = absent.size() == 1
                                 ? std::string()
                                 : fmt::format(
                                       " ({} of {} names are not there; missing=\"drop\" leaves them out, "
                                       "missing=\"zero\" makes them columns of zeros)",
                                       format_count(absent.size()), format_count(wanted.size()));
    return Status::not_found(
        fmt::format("no {} '{}'{}; {}", what, absent.front(), many, suggest_names(absent.front(), names)));
  }
  if (missing == MissingVar::zero) *zeros = std::move(absent);
  return columns;
}

Result<std::vector<FilePart>> with_columns(const OpenedFiles& opened, std::span<const FilePart> parts,
                                           const VarSpace& vars) {
  std::vector<FilePart> out(parts.begin(), parts.end());
  const std::size_t n = opened.var_names.size();
  PENSTOCK_ASSIGN_OR_RETURN(
      const Reservation held,
      reserve_for("a selection of genes", *opened.budget, MemoryTag::index, 2 * n * sizeof(std::uint32_t)));
  std::vector<std::uint32_t> to(n, ColumnMap::kDropped);
  for (std::size_t i = 0; i < vars.picks.size(); ++i) {
    if (vars.picks[i] != ColumnMap::kDropped) to[vars.picks[i]] = static_cast<std::uint32_t>(i);
  }
  // Files with the same genes share a table.
  std::map<const ColumnMap*, std::shared_ptr<const ColumnMap>> made;
  std::vector<std::uint32_t> composed;
  for (std::size_t f = 0; f < out.size(); ++f) {
    const OpenedFiles::File& file = opened.files[f];
    std::shared_ptr<const ColumnMap>& map = made[file.columns.get()];
    if (map == nullptr) {
      std::span<const std::uint32_t> table = to;
      if (file.columns != nullptr) {
        composed.assign(file.columns->source_cols(), ColumnMap::kDropped);
        for (ColIndex c = 0; c < composed.size(); ++c) {
          const std::uint32_t joined = (*file.columns)[c];
          if (joined != ColumnMap::kDropped) composed[c] = to[joined];
        }
        table = composed;
      }
      PENSTOCK_ASSIGN_OR_RETURN(map, ColumnMap::create(table, vars.picks.size(), *opened.budget));
    }
    out[f].source = std::make_shared<const MappedSource>(file.content->matrix(), map);
  }
  return out;
}

}  // namespace penstock::internal
