// Columns of a Dataset after a selection of genes. Selections compose: a gene is given by its number in the
// Dataset at hand, and kept as its number among the opened columns, so that the way to a file never has more
// than two steps, whatever was selected of what:
//
//     file's column --(join: file.columns)--> opened column --(selection: to)--> column of the Dataset
//
// with_columns() makes one table of the two for each list of genes, and sources that use it leave everything
// else out while they decode.
#include "dataset/var_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "dataset/opened_files.h"
#include "memory/reserve_for.h"
#include "source/mapped_source.h"

namespace penstock::internal {

Result<std::shared_ptr<const VarSpace>> select_columns(const OpenedFiles& opened, const VarSpace* from,
                                                       std::span<const std::int64_t> columns,
                                                       std::span<const std::string> zeros,
                                                       std::span<const Note> notes) {
  const std::vector<std::string>& names = from != nullptr ? from->names : opened.var_names;
  const std::size_t n = names.size();
  auto out = std::make_shared<VarSpace>();
  // That names were missing stays true of a selection of the selection.
  if (from != nullptr) out->notes = from->notes;
  out->notes.insert(out->notes.end(), notes.begin(), notes.end());
  // And what a source of each file takes, with its histogram of row lengths.
  ByteCount bytes = opened.files.size() * sizeof(MappedSource) + n / 8 + 1 +
                    columns.size() * (sizeof(std::string) + sizeof(std::uint32_t));
  for (const std::int64_t c : columns) {
    if (c >= 0 && static_cast<std::size_t>(c) < n) bytes += names[static_cast<std::size_t>(c)].size();
  }
  // A set of them is looked into while the list is made.
  for (const std::string& name : zeros) bytes += name.size() + sizeof(name) + 4 * sizeof(void*);
  for (const Note& note : out->notes) bytes += sizeof(note) + note.text.size();
  PENSTOCK_ASSIGN_OR_RETURN(
      out->held, reserve_for("the names of the genes selected", *opened.budget, MemoryTag::index, bytes));
  out->names.reserve(columns.size());
  out->picks.reserve(columns.size());
  std::vector<bool> taken(n);
  const std::unordered_set<std::string_view> of_zeros(zeros.begin(), zeros.end());
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
    // Names of genes are how a model finds its inputs: two of the same name would be one too many.
    if (of_zeros.contains(names[column])) {
      return Status::invalid_argument(
          fmt::format("a gene of zeros would be called '{}', as another selected gene is", names[column]));
    }
    out->names.push_back(names[column]);
    out->picks.push_back(from != nullptr ? from->picks[column] : static_cast<std::uint32_t>(column));
  }
  return std::shared_ptr<const VarSpace>(std::move(out));
}

Result<std::vector<FilePart>> with_columns(const OpenedFiles& opened, std::span<const FilePart> parts,
                                           const VarSpace& vars) {
  std::vector<FilePart> out(parts.begin(), parts.end());
  const std::size_t n = opened.var_names.size();
  PENSTOCK_ASSIGN_OR_RETURN(
      const Reservation held,
      reserve_for("a selection of genes", *opened.budget, MemoryTag::index, 2 * n * sizeof(std::uint32_t)));
  std::vector<std::uint32_t> to(n, ColumnMap::kDropped);
  // picks goes from the Dataset's columns to opened ones; what decoding needs is the other direction.
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
        // Genes that the join has dropped stay dropped.
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
