// A name that is not there is mostly a typing error, or somebody else's spelling. The message helps if it
// names the right one, so names are compared by edit distance: how many characters must be replaced, put in
// or left out. "celltype" is 1 from "cell_type"; "Drug" is 0 from "drug", because case does not count.
//
// Names come from files and need not be text. What is shown of them passes shown_text().

#include "base/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <numeric>
#include <vector>

namespace penstock {
namespace {

constexpr std::size_t kListed = 8;
constexpr std::size_t kLongest = 64;  // longer names are compared as equal or not

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// Edit distance without regard to case; anything above `limit` is limit + 1.
std::size_t distance(std::string_view a, std::string_view b, std::size_t limit) {
  if (a.size() > kLongest || b.size() > kLongest) return limit + 1;
  const std::size_t gap = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (gap > limit) return limit + 1;
  // The usual table of distances between all beginnings of a and of b, of which only the current row is kept;
  // `diagonal` is what the row before had one place to the left. On the stack: lists have 60,000 genes.
  std::size_t row[kLongest + 1];
  std::iota(row, row + b.size() + 1, std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return std::min(row[b.size()], limit + 1);
}

// Length of the UTF-8 character that `bytes` begin with; 0 when they begin with none.
std::size_t character_bytes(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (at(0) < 0x80) return 1;
  const std::size_t n = at(0) >= 0xf0 ? 4 : at(0) >= 0xe0 ? 3 : 2;
  // A character cannot begin with 0x80 to 0xBF (the middle of one), nor with 0xC0 or 0xC1, which would only
  // spell ASCII in two bytes. Unicode 15, table 3-7, has the whole list.
  if (at(0) < 0xc2 || at(0) > 0xf4 || bytes.size() < n) return 0;
  for (std::size_t i = 1; i < n; ++i) {
    if (at(i) >> 6 != 2) return 0;
  }
  // Longer than needed, half of a surrogate pair, or beyond the last code point.
  const bool wrong = (at(0) == 0xe0 && at(1) < 0xa0) || (at(0) == 0xed && at(1) > 0x9f) ||
                     (at(0) == 0xf0 && at(1) < 0x90) || (at(0) == 0xf4 && at(1) > 0x8f);
  return wrong ? 0 : n;
}

}  // namespace

const std::string* nearest_name(std::string_view wanted, std::span<const std::string> names) {
  // With two changes a name of three letters could be nearly any other.
  const std::size_t limit = wanted.size() <= 3 ? 1 : 2;
  std::size_t best = limit + 1;
  const std::string* nearest = nullptr;
  for (const auto& name : names) {
    const std::size_t d = distance(wanted, name, limit);
    if (d < best) {
      best = d;
      nearest = &name;
    }
  }
  return nearest;
}

std::string suggest_names(std::string_view wanted, std::span<const std::string> names) {
  if (names.empty()) return "it is empty";
  if (const std::string* nearest = nearest_name(wanted, names))
    return fmt::format("did you mean '{}'?", *nearest);
  std::string list;
  // A hostile name may be a megabyte long, and messages go to logs.
  for (std::size_t i = 0; i < std::min(names.size(), kListed); ++i) {
    list += fmt::format("{}'{}'", i ? ", " : "", names[i].substr(0, 200));
  }
  if (names.size() > kListed) list += fmt::format(" ({} more)", names.size() - kListed);
  return "there are: " + list;
}

NameOrder::NameOrder(std::span<const std::string> names) : order_(names.size()) {
  std::iota(order_.begin(), order_.end(), 0U);
  std::sort(order_.begin(), order_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return names[a] < names[b]; });
}

bool NameOrder::has(std::span<const std::string> names, std::string_view name) const {
  const auto found = std::lower_bound(order_.begin(), order_.end(), name,
                                      [&](std::uint32_t i, std::string_view n) { return names[i] < n; });
  return found != order_.end() && names[*found] == name;
}

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t n = character_bytes(bytes);
    if (n == 0) return false;
    bytes.remove_prefix(n);
  }
  return true;
}

std::string shown_text(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const std::size_t n = character_bytes(bytes);
    if (n == 0) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes.front()));
    } else {
      text += bytes.substr(0, n);
    }
    bytes.remove_prefix(std::max<std::size_t>(n, 1));
  }
  return text;
}

}  // namespace penstock
