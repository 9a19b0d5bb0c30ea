#include "setup/turned_groups.h"

#include "base/carver.h"
#include "base/checked.h"
#include "source/column_major.h"

namespace penstock::loader {

ByteCount TurnedSizes::tables(std::span<const internal::FilePart> parts) {
  ByteCount bytes = 0;
  for (const internal::FilePart& part : parts) {
    if (part.source->by_columns() == nullptr) continue;
    bytes += round_up(part.source->traits().n_rows * sizeof(std::uint32_t), Carver::kAlign) + kSlack;
  }
  return bytes;
}

// So many bytes that no file's entries are more than can be turned at once: one takes 3 bytes or more.
ByteCount TurnedSizes::capacity(const EngineConfig& config) {
  const ByteCount fixed = tables(config.parts), all = config.window.turned_bytes;
  return std::min<ByteCount>(all > fixed ? all - fixed : 0, 3 * TurnedRows::kMostEntries);
}

ByteCount TurnedSizes::of(const internal::FilePart& part, std::span<const RowRange> rows) {
  const ColumnMajor* columns = part.source->by_columns();
  if (columns == nullptr) return 0;
  const auto lengths = columns->row_lengths();
  std::uint64_t entries = 0;
  for (const RowRange& range : rows) {
    for (RowIndex row = range.first; row < range.last; ++row) entries += lengths[row];
  }
  return entries * columns->entry_bytes();
}

ByteCount TurnedSizes::selected(std::span<const internal::FilePart> parts) {
  ByteCount bytes = 0;
  for (const internal::FilePart& part : parts) {
    const RowRange all{0, part.source->traits().n_rows};
    if (!part.selected) {
      bytes += of(part, {&all, 1});
      continue;
    }
    if (part.source->by_columns() == nullptr) continue;
    for (const std::uint32_t row : *part.selected) {
      const RowRange one{row, RowIndex{row} + 1};
      bytes += of(part, {&one, 1});
    }
  }
  return bytes;
}

}  // namespace penstock::loader
