#include "plan/blocks.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/checked.h"

namespace penstock::plan {

namespace {

// Calls visit(block) for every block with a selected row, in order. The source says where a block may end
// (near the edge of a chunk), unless block_rows is exact. Where a bitmap selects, the number of its rows up
// to the block's end, less that up to its beginning, is what the block has: no row is looked at.
template <class Visit>
void each_block(std::span<const internal::FilePart> parts, RowIndex block_rows, bool exact, Visit visit) {
  for (std::uint32_t f = 0; f < parts.size(); ++f) {
    const auto& part = parts[f];
    const RowIndex n = part.source->traits().n_rows;
    std::uint64_t rank_before = 0;
    for (RowIndex first = 0; first < n;) {
      const RowIndex last = exact && block_rows < n - first
                                ? first + block_rows
                                : std::min(part.source->cut(first, block_rows), n);
      // A source whose cut() stood still would make this loop run for ever.
      PENSTOCK_CHECK(last > first);
      std::uint64_t selected = last - first;
      if (part.selected) {
        const std::uint64_t rank = part.selected->rank(static_cast<std::uint32_t>(last - 1));
        selected = rank - rank_before;
        rank_before = rank;
      }
      if (selected > 0) {
        visit(Block{f, static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last - first),
                    static_cast<std::uint32_t>(selected)});
      }
      first = last;
    }
  }
}

}  // namespace

Result<BlockTable> BlockTable::build(std::span<const internal::FilePart> parts, RowIndex block_rows,
                                     bool exact, MemoryBudget& budget) {
  BlockTable table;
  std::uint64_t rows = 0, n_blocks = 0;
  for (const auto& part : parts) rows += part.source->traits().n_rows;
  // Counted first: a vector that grows holds the old and the new copy at once, up to three times the table.
  // The number of rows is known and that of blocks is not: sources cut where their chunks end.
  each_block(parts, block_rows, exact, [&](const Block&) { ++n_blocks; });
  auto held = budget.reserve(MemoryTag::index, n_blocks * sizeof(Block));
  if (!held.ok()) {
    return std::move(held).status().reworded(fmt::format(
        "the table of blocks needs {} of index memory for {} rows in blocks of {}; use more memory or larger "
        "block_rows",
        format_bytes(n_blocks * sizeof(Block)), format_count(rows), block_rows));
  }
  table.reservation_ = *std::move(held);
  table.blocks_.reserve(n_blocks);
  each_block(parts, block_rows, exact, [&](const Block& block) {
    table.blocks_.push_back(block);
    table.rows_ += block.selected;
    table.largest_ = std::max<std::uint64_t>(table.largest_, block.selected);
    table.largest_span_ = std::max<std::uint64_t>(table.largest_span_, block.rows);
  });
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
    // The ranges are what is asked of the source, and a request for each row would be a read for each row.
    // Joining goes across calls as well, since a segment on a line is several of them.
    if (!out.empty() && out.back().last == row) {
      ++out.back().last;
    } else {
      out.push_back({row, row + 1});
    }
  }
}

}  // namespace penstock::plan
