#include "source/column_major.h"

#include <algorithm>

namespace penstock {

void TurnedRows::clear() { std::fill_n(next_, rows_.size(), kNotWanted); }

void TurnedRows::want(RowRange range) { std::fill_n(next_ + (range.first - rows_.first), range.size(), 0U); }

std::uint64_t TurnedRows::lay_out(std::span<const std::uint32_t> lengths) {
  std::uint64_t entries = 0;
  for (RowIndex i = 0; i < rows_.size(); ++i) {
    if (next_[i] == kNotWanted) continue;
    next_[i] = static_cast<std::uint32_t>(entries);
    entries += lengths[rows_.first + i];
  }
  return entries;
}

bool TurnedRows::complete(std::span<const std::uint32_t> lengths, RowIndex* row) const {
  std::uint64_t end = 0;
  for (RowIndex i = 0; i < rows_.size(); ++i) {
    if (next_[i] == kNotWanted) continue;
    end += lengths[rows_.first + i];
    if (next_[i] == end) continue;
    *row = rows_.first + i;
    return false;
  }
  return true;
}

}  // namespace penstock
