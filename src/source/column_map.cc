// One table look-up for each entry: the column of the file leads to the column of the Dataset, or nowhere.
// This runs for every entry of every row as soon as genes are selected or files are joined, so the loop has
// no branch that depends on an entry. Everything is written to the next free place, and only what is wanted
// moves that place on:
//
//     to            - 0 - 1      of the file's columns 0 to 3 the second and the fourth are wanted
//     ids in        0 1 2 3
//     written to    0 0 1 1      the place that is free at that time
//     kept          0 1 1 2      places 0 and 1 hold the columns 0 and 1 at the end
//
// The table has one entry more than the file has columns, which leads nowhere. An id outside of the matrix is
// looked up there, so that a damaged file reads no memory that is not the table's; which one it was is looked
// for afterwards, in the rare case.
#include "source/column_map.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "memory/reserve_for.h"
#include "source/numbers.h"

namespace penstock {

Result<std::shared_ptr<const ColumnMap>> ColumnMap::create(std::span<const std::uint32_t> to, ColIndex n_cols,
                                                           MemoryBudget& budget) {
  std::shared_ptr<ColumnMap> map(new ColumnMap);
  map->n_source_ = to.size();
  map->n_cols_ = n_cols;
  const ByteCount bytes = (to.size() + 1) * numeric_size(map->id_type());
  PENSTOCK_ASSIGN_OR_RETURN(map->held_, reserve_for("a table of columns", budget, MemoryTag::index, bytes));
  const auto fill = [&]<class Id>(std::vector<Id>& table) {
    constexpr Id kNone = std::numeric_limits<Id>::max();
    table.assign(to.size() + 1, kNone);
    for (std::size_t c = 0; c < to.size(); ++c) {
      // kDropped is larger than any number of columns.
      if (to[c] < n_cols) table[c] = static_cast<Id>(to[c]);
    }
  };
  if (map->id_type() == NumericType::u16) {
    fill(map->narrow_);
  } else {
    fill(map->wide_);
  }
  return std::shared_ptr<const ColumnMap>(std::move(map));
}

std::uint32_t ColumnMap::operator[](ColIndex c) const {
  if (id_type() == NumericType::u32) return wide_[c];
  return narrow_[c] == std::numeric_limits<std::uint16_t>::max() ? kDropped : narrow_[c];
}

template <class Index, class Id, class Value>
std::size_t ColumnMap::keep_as(const std::vector<Id>& table, const std::byte* in_ids,
                               const std::byte* in_values, std::size_t n, std::byte* ids, std::byte* values,
                               std::size_t* bad) const {
  constexpr Id kNone = std::numeric_limits<Id>::max();
  const Id* const to = table.data();
  std::size_t kept = 0;
  std::uint64_t outside = 0;
  // No branches: which entries are wanted is as good as random. What is not wanted is written over.
  for (std::size_t i = 0; i < n; ++i) {
    // A negative id becomes a large one.
    const auto id = static_cast<std::uint64_t>(load<Index>(in_ids, i));
    outside |= static_cast<std::uint64_t>(id >= n_source_);
    const Id column = to[std::min<std::uint64_t>(id, n_source_)];
    const Value value = load<Value>(in_values, i);
    std::memcpy(ids + kept * sizeof(Id), &column, sizeof(Id));
    std::memcpy(values + kept * sizeof(Value), &value, sizeof(Value));
    kept += column != kNone ? 1 : 0;
  }
  // A second pass that finds the first bad id. It is not run unless there is one.
  for (std::size_t i = 0; outside != 0 && i < n; ++i) {
    if (static_cast<std::uint64_t>(load<Index>(in_ids, i)) < n_source_) continue;
    *bad = std::min(*bad, i);
    break;
  }
  return kept;
}

std::size_t ColumnMap::keep(const std::byte* in_ids, NumericType type, const std::byte* in_values,
                            std::size_t value_bytes, std::size_t n, std::byte* ids, std::byte* values,
                            std::size_t* bad) const {
  // Values are only moved, so that their size is enough to know; with the types of ids in the file and in the
  // table that makes the instances of keep_as().
  const auto with_value = [&]<class Index, class Id>(const std::vector<Id>& table) {
    switch (value_bytes) {
      case 1:
        return keep_as<Index, Id, std::uint8_t>(table, in_ids, in_values, n, ids, values, bad);
      case 2:
        return keep_as<Index, Id, std::uint16_t>(table, in_ids, in_values, n, ids, values, bad);
      case 4:
        return keep_as<Index, Id, std::uint32_t>(table, in_ids, in_values, n, ids, values, bad);
      default:
        return keep_as<Index, Id, std::uint64_t>(table, in_ids, in_values, n, ids, values, bad);
    }
  };
  return with_integer(type, [&]<class Index>() {
    return id_type() == NumericType::u16 ? with_value.template operator()<Index>(narrow_)
                                         : with_value.template operator()<Index>(wide_);
  });
}

}  // namespace penstock
