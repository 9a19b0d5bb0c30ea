// A selection of genes by name. Names are looked up in a table of those that are wanted, which is small,
// while the genes of the Dataset are walked once: a panel of 2,000 genes out of 60,000 makes a table of
// 2,000.
//
// A name that several genes have is an error only if it is asked for: symbols repeat in many var tables, and
// that harms nobody who does not select by them.
#include "dataset/select_genes.h"

#include <fmt/format.h>

#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/names.h"
#include "dataset/gene_hints.h"
#include "dataset/var_texts.h"

namespace penstock::internal {
namespace {

constexpr std::size_t kNamed = 8;  // missing names that a note lists

// Where names are; kZero for those that are not there.
struct Found {
  std::vector<std::int64_t> columns;
  std::vector<std::string> absent;
};

// `there`: an empty one is no name. `what`: "gene", for messages.
Result<Found> find_names(std::span<const std::string> there, std::span<const std::string> wanted,
                         const std::string& what) {
  struct Place {
    std::int64_t column = kZero;
    bool several = false;
  };
  std::unordered_map<std::string_view, Place> places;
  places.reserve(wanted.size());
  for (const std::string& name : wanted) {
    if (!places.emplace(name, Place()).second) {
      return Status::invalid_argument(
          fmt::format("{} '{}' is asked for twice: a selection has each gene once", what, name));
    }
  }
  for (std::size_t c = 0; c < there.size(); ++c) {
    // A gene without a value in the column `key`, or one that the first file lacks.
    if (there[c].empty()) continue;
    const auto found = places.find(there[c]);
    if (found == places.end()) continue;
    found->second.several = found->second.column != kZero;
    found->second.column = static_cast<std::int64_t>(c);
  }
  Found out;
  out.columns.reserve(wanted.size());
  for (const std::string& name : wanted) {
    const Place& place = places.at(name);
    if (place.several) {
      return Status::invalid_argument(fmt::format(
          "{} '{}' names several genes: select by number, or by another column of var with key=", what,
          name));
    }
    out.columns.push_back(place.column);
    if (place.column == kZero) out.absent.push_back(name);
  }
  return out;
}

std::string list_of(std::span<const std::string> names) {
  std::string text;
  for (const std::string& name : names.first(std::min(names.size(), kNamed)))
    text += fmt::format("{}'{}'", text.empty() ? "" : ", ", shown_text(name));
  if (names.size() > kNamed) text += fmt::format(" and {} more", format_count(names.size() - kNamed));
  return text;
}

// The hint is the most useful part: either that names are written otherwise or lie in another column, or else
// the nearest names.
Status not_there(const GenesAsked& asked, const std::string& what, MissingVar missing, std::string hint) {
  if (hint.empty()) hint = suggest_names(asked.absent.front(), asked.there);
  // Nothing at all was found. missing="drop" would leave a matrix without columns, and "zero" one of zeros,
  // neither of which anybody means.
  if (missing != MissingVar::error) {
    return Status::not_found(fmt::format("no {} is there of the {} asked for ({}); {}", what,
                                         format_count(asked.wanted.size()), list_of(asked.absent), hint));
  }
  const bool one = asked.absent.size() == 1;
  return Status::not_found(fmt::format(
      "no {} '{}' ({} of {} names {} not there; missing=\"drop\" leaves {} out, missing=\"zero\" makes {} of "
      "zeros); {}",
      what, shown_text(asked.absent.front()), format_count(asked.absent.size()),
      format_count(asked.wanted.size()), one ? "is" : "are", one ? "it" : "them",
      one ? "it a column" : "them columns", hint));
}

}  // namespace

Result<MissingVar> missing_var(const std::string& text) {
  if (text == "error") return MissingVar::error;
  if (text == "drop") return MissingVar::drop;
  if (text == "zero") return MissingVar::zero;
  return Status::invalid_argument(
      fmt::format("missing='{}': expected \"error\", \"drop\" or \"zero\"", text));
}

Result<std::shared_ptr<const VarSpace>> select_names(const OpenedFiles& opened, const VarSpace* from,
                                                     std::span<const std::string> wanted,
                                                     const std::string& key, MissingVar missing) {
  std::vector<std::string> of_key;
  if (!key.empty()) {
    PENSTOCK_ASSIGN_OR_RETURN(of_key, var_texts(opened, from, key));
  }
  GenesAsked asked{wanted, {}, !key.empty() ? of_key : from != nullptr ? from->names : opened.var_names, key};
  const std::string what = key.empty() ? "gene" : fmt::format("gene with var '{}'", key);
  PENSTOCK_ASSIGN_OR_RETURN(Found found, find_names(asked.there, wanted, what));
  if (found.absent.empty()) return select_columns(opened, from, found.columns, {});
  asked.absent = found.absent;
  // Also where missing names are allowed: that half of a panel is called differently is worth a note.
  const std::string hint = gene_hint(opened, from, asked);
  if (missing == MissingVar::error || found.absent.size() == wanted.size())
    return not_there(asked, what, missing, hint);
  const bool zero = missing == MissingVar::zero;
  const Note note{
      NoteKind::genes_missing,
      fmt::format("{} of {} genes asked for{} were found; missing, {}: {}{}{}",
                  format_count(wanted.size() - found.absent.size()), format_count(wanted.size()),
                  key.empty() ? "" : fmt::format(" by var '{}'", key), zero ? "columns of zeros" : "left out",
                  list_of(found.absent), hint.empty() ? "" : "; ", hint)};
  if (zero) return select_columns(opened, from, found.columns, found.absent, {&note, 1});
  std::erase(found.columns, kZero);
  return select_columns(opened, from, found.columns, {}, {&note, 1});
}

}  // namespace penstock::internal
