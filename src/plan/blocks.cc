#include "plan/blocks.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/checked.h"

namespace penstock::plan {

Result<BlockTable> BlockTable::build(std::span<const internal::FilePart> parts, RowIndex block_rows,
                                     bool exact, MemoryBudget& budget) {
  BlockTable table;
  std::uint64_t rows = 0;
  for (const auto& part : parts) rows += part.source->traits().n_rows;
  // The reservation grows with the vector's capacity, so that the bytes are the budget's before they are
  // ours.
  PENSTOCK_ASSIGN_OR_RETURN(table.reservation_, budget.reserve(MemoryTag::index, 0));
  for (std::uint32_t f = 0; f < parts.size(); ++f) {
    const auto& part = parts[f];
    const RowIndex n = part.source->traits().n_rows;
    std::uint64_t rank_before = 0;
    for (RowIndex first = 0; first < n;) {
      const RowIndex last = exact && block_rows < n - first
                                ? first + block_rows
                                : std::min(part.source->cut(first, block_rows), n);
      PENSTOCK_CHECK(last > first);
      std::uint64_t selected = last - first;
      if (part.selected) {
        const std::uint64_t rank = part.selected->rank(static_cast<std::uint32_t>(last - 1));
        selected = rank - rank_before;
        rank_before = rank;
      }
      if (selected > 0) {
        if (table.blocks_.size() == table.blocks_.capacity()) {
          const std::uint64_t grown = std::max<std::uint64_t>(64, table.blocks_.size() * 2);
          // While a vector grows, the old and the new copy exist at once.
          if (!table.reservation_.resize((grown + table.blocks_.size()) * sizeof(Block))) {
            return Status::budget(fmt::format(
                "the table of blocks needs more than {} of index memory for {} rows in blocks of {}; use "
                "more memory or "
                "larger block_rows",
                format_bytes(table.blocks_.size() * sizeof(Block)), format_count(rows), block_rows));
          }
          table.blocks_.reserve(grown);
          table.reservation_.resize(grown * sizeof(Block));
        }
        table.blocks_.push_back({f, static_cast<std::uint32_t>(first),
                                 static_cast<std::uint32_t>(last - first),
                                 static_cast<std::uint32_t>(selected)});
        table.rows_ += selected;
        table.largest_ = std::max(table.largest_, selected);
        table.largest_span_ = std::max<std::uint64_t>(table.largest_span_, last - first);
      }
      first = last;
    }
  }
  return table;
}

void selected_ranges(const internal::FilePart& part, const Block& block, std::uint64_t skip,
                     std::uint64_t count, std::vector<RowRange>& out) {
  if (count == 0) return;
  if (!part.selected || block.selected == block.rows) {
    out.push_back({block.first_row + skip, block.first_row + skip + count});
    return;
  }
  const auto& bits = *part.selected;
  auto it = bits.begin();
  it.equalorlarger(block.first_row);
  for (std::uint64_t i = 0; i < skip; ++i) ++it;
  for (std::uint64_t i = 0; i < count; ++i, ++it) {
    const RowIndex row = *it;
    if (!out.empty() && out.back().last == row) {
      ++out.back().last;
    } else {
      out.push_back({row, row + 1});
    }
  }
}

}  // namespace penstock::plan
