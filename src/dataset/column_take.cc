// A column in the order of selected genes. A number that is no row of it stands for a gene that the file does
// not have: of floats that is NaN, of categories -1, and for the other kinds a mask says so, which is made if
// there was none. Integers stay integers that way.
#include "dataset/column_take.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace penstock::internal {
namespace {

// One pass, with the value that stands for "none" handed in: rows 2, none, 0 of [5, 6, 7] are 7, 0, 5, and
// the mask of an integer column 0, 1, 0.
template <class T>
void take_into(std::vector<T>& values, std::span<const std::uint32_t> picks, const T& missing) {
  std::vector<T> out;
  out.reserve(picks.size());
  for (const std::uint32_t pick : picks) out.push_back(pick < values.size() ? values[pick] : missing);
  values = std::move(out);
}

}  // namespace

Column take(Column column, std::span<const std::uint32_t> picks) {
  const std::uint64_t n = column.size();
  bool some = false;
  for (const std::uint32_t pick : picks) some = some || pick >= n;
  const bool masked = column.kind == Column::Kind::string || column.kind == Column::Kind::integer ||
                      column.kind == Column::Kind::boolean;
  if (some && masked && column.missing.empty()) column.missing.assign(n, 0);
  switch (column.kind) {
    case Column::Kind::categorical:
      take_into(column.codes, picks, std::int32_t{-1});
      break;
    case Column::Kind::string:
      take_into(column.strings, picks, std::string());
      break;
    case Column::Kind::integer:
      take_into(column.integers, picks, std::int64_t{0});
      break;
    case Column::Kind::floating:
      take_into(column.floats, picks, std::numeric_limits<double>::quiet_NaN());
      break;
    case Column::Kind::boolean:
      take_into(column.booleans, picks, std::uint8_t{0});
      break;
  }
  if (!column.missing.empty() || (some && masked)) take_into(column.missing, picks, std::uint8_t{1});
  return column;
}

}  // namespace penstock::internal
