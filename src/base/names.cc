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

}  // namespace

std::string suggest_names(std::string_view wanted, std::span<const std::string> names) {
  if (names.empty()) return "it is empty";
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
  if (nearest) return fmt::format("did you mean '{}'?", *nearest);
  std::string list;
  for (std::size_t i = 0; i < std::min(names.size(), kListed); ++i) {
    list += fmt::format("{}'{}'", i ? ", " : "", names[i].substr(0, 200));
  }
  if (names.size() > kListed) list += fmt::format(" ({} more)", names.size() - kListed);
  return "there are: " + list;
}

}  // namespace penstock
