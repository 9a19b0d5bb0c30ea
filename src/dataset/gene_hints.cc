// Why names of genes are not found. Two mistakes make up most of it: the names are those of another column
// (symbols where var is named by Ensembl ids), or they are spelled differently (a version suffix, letter
// case, blanks from a spreadsheet, a byte order mark at the start of a list). Both are tried, and whichever
// explains more names is what the message says:
//
//     wanted       TP53, ENSG00000141510.4         plain form    tp53, ensg00000141510
//     there        ENSG00000141510                               ensg00000141510
//
// A hint is worth a little memory and no failure: what does not fit in the budget, or cannot be read, gives
// none.
#include "dataset/gene_hints.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/names.h"
#include "dataset/var_texts.h"
#include "memory/reserve_for.h"

namespace penstock::internal {
namespace {

constexpr std::size_t kMostColumns = 32;  // of var that are looked at
// Of a table of names, beside their characters: a node and its bucket.
constexpr ByteCount kNodeBytes = 64;

constexpr std::string_view kMark = "\xef\xbb\xbf";  // that files of text begin with on some systems

std::string_view without_mark(std::string_view name) {
  return name.starts_with(kMark) ? name.substr(kMark.size()) : name;
}

std::string_view without_blanks(std::string_view name) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = name.find_first_not_of(kBlank);
  return first == std::string_view::npos ? std::string_view()
                                         : name.substr(first, name.find_last_not_of(kBlank) - first + 1);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower_case(std::string_view name) {
  std::string out(name);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

// ENSG00000141510.4 and ENSG00000141510 are one gene. Symbols such as RP11-34P13.7 have no version.
// The dot has to follow a digit, and everything behind it has to be digits: ENSG00000141510.4, but neither a
// name that ends with a dot nor ENS.x.
std::string_view without_version(std::string_view name) {
  if (name.size() < 4 || lower_case(name.substr(0, 3)) != "ens") return name;
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos || dot + 1 == name.size() || !is_digit(name[dot - 1])) return name;
  const std::string_view version = name.substr(dot + 1);
  return std::all_of(version.begin(), version.end(), is_digit) ? name.substr(0, dot) : name;
}

// Names that have the same one may be meant to be the same.
std::string plain(std::string_view name) {
  return lower_case(without_version(without_blanks(without_mark(name))));
}

// In what two names of the same plain form differ.
std::string difference(std::string_view wanted, std::string_view there) {
  std::vector<std::string_view> found;
  // Each difference is named once, and then taken away, so that the next one is not hidden by it.
  if (wanted.starts_with(kMark) != there.starts_with(kMark)) {
    found.push_back("a byte order mark; read the list with encoding=\"utf-8-sig\"");
    wanted = without_mark(wanted);
    there = without_mark(there);
  }
  if (without_blanks(wanted).size() != wanted.size() || without_blanks(there).size() != there.size())
    found.push_back("blanks around it");
  wanted = without_blanks(wanted);
  there = without_blanks(there);
  const auto wanted_name = without_version(wanted), there_name = without_version(there);
  if (wanted_name != there_name) found.push_back("letter case");
  if (wanted.substr(wanted_name.size()) != there.substr(there_name.size())) found.push_back("version suffix");
  return fmt::format("{}", fmt::join(found, ", "));
}

// A name as a message shows it: a mark at its beginning would not be seen.
std::string quoted(std::string_view name) {
  const bool marked = name.starts_with(kMark);
  return fmt::format("'{}{}'", marked ? "\\ufeff" : "", shown_text(without_mark(name)));
}

ByteCount table_bytes(std::span<const std::string> names) {
  ByteCount bytes = 0;
  for (const std::string& name : names) bytes += 2 * name.size() + kNodeBytes;
  return bytes;
}

// How many of the absent names are there in another spelling, and the first of them beside that.
struct Respelled {
  std::size_t count = 0;
  std::string_view wanted, there;
};
// The names that are there are put into a table by their plain form; each absent name is then looked up once.
Respelled respelled(const GenesAsked& asked, MemoryBudget& budget) {
  Respelled out;
  const auto held = reserve_for("names of genes", budget, MemoryTag::index, table_bytes(asked.there));
  if (!held.ok()) return out;
  std::unordered_map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < asked.there.size(); ++i) {
    if (!asked.there[i].empty()) places.try_emplace(plain(asked.there[i]), i);
  }
  for (const std::string& name : asked.absent) {
    const auto found = places.find(plain(name));
    if (found == places.end()) continue;
    if (out.count++ == 0) {
      out.wanted = name;
      out.there = asked.there[found->second];
    }
  }
  return out;
}

// A column of var, or the names (empty key), and how many of the wanted names are in it.
struct Place {
  std::size_t count = 0;
  std::string key;
};

// Columns of numbers are passed over; of the others at most kMostColumns are looked at, one at a time in
// memory.
Place best_place(const OpenedFiles& opened, const VarSpace* vars, const GenesAsked& asked) {
  // Another column is worth naming only if it has more of the names than the one that was asked for.
  Place best{asked.wanted.size() - asked.absent.size(), asked.key};
  const auto held =
      reserve_for("names of genes", *opened.budget, MemoryTag::index, table_bytes(asked.wanted));
  if (!held.ok()) return best;
  const std::unordered_set<std::string_view> wanted(asked.wanted.begin(), asked.wanted.end());
  // Distinct names are counted: a column that repeats one symbol a thousand times has one of the names.
  const auto look = [&](std::span<const std::string> texts, const std::string& key) {
    std::unordered_set<std::string_view> found;
    for (const std::string& text : texts) {
      if (!text.empty() && wanted.contains(text)) found.insert(text);
    }
    if (found.size() > best.count) best = {found.size(), key};
  };
  if (!asked.key.empty()) look(vars != nullptr ? vars->names : opened.var_names, "");
  const Table& var = *opened.files.front().content->var();
  std::size_t looked_at = 0;
  for (const std::string& name : var.columns()) {
    if (name == asked.key) continue;
    const auto column = var.column(name);
    if (!column.ok()) continue;
    const auto encoding = (*column)->encoding();
    if (encoding != TableColumn::Encoding::string && encoding != TableColumn::Encoding::categorical) continue;
    if (++looked_at > kMostColumns) break;
    // How long its strings are is not known; what is reserved is for short ones, twice, since they are
    // counted in a set.
    const auto room = reserve_for("a column of var", *opened.budget, MemoryTag::index,
                                  2 * (*column)->size() * (sizeof(std::string) + kNodeBytes));
    if (!room.ok()) continue;
    const auto texts = first_file_texts(opened, vars, name);
    if (texts.ok()) look(*texts, name);
  }
  return best;
}

}  // namespace

std::string gene_hint(const OpenedFiles& opened, const VarSpace* vars, const GenesAsked& asked) {
  const Respelled other = respelled(asked, *opened.budget);
  const std::size_t found = asked.wanted.size() - asked.absent.size();
  const Place place = best_place(opened, vars, asked);
  if (place.count > found + other.count) {
    const std::string of = place.count == asked.wanted.size()
                               ? place.count == 1 ? "it is" : fmt::format("all {} are", place.count)
                               : fmt::format("{} of the {} {}", place.count, asked.wanted.size(),
                                             place.count == 1 ? "is" : "are");
    return place.key.empty()
               ? of + " among the names of the genes: leave key out"
               : fmt::format("{} in var column '{}': select them with key=\"{}\"", of, place.key, place.key);
  }
  if (other.count == 0) return {};
  return fmt::format("{}{} is {} here ({})",
                     asked.absent.size() == 1
                         ? std::string()
                         : fmt::format("{} of the missing {} there but written otherwise: ", other.count,
                                       other.count == 1 ? "is" : "are"),
                     quoted(other.wanted), quoted(other.there), difference(other.wanted, other.there));
}

}  // namespace penstock::internal
