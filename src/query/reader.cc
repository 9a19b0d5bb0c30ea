// Columns come in slabs, as much of one as its storage reads at once: a chunk of HDF5, a row group of
// Parquet, or some 65,536 rows. One slab of each column is held. Blocks of rows end where the first of these
// slabs does (end_of_slabs), so that a block never needs two slabs of a column.
//
//     column a    |      slab 0..1000       |     slab 1000..2000      |
//     column b    |  slab 0..700   |  slab 700..1400    |  1400..2000   |
//     blocks      |     0..700     |700..1000|1000..1400| 1400..2000    |
//
// A column whose values nobody asks for, because the other side of an `and` has settled all rows, is not
// read; its slabs still end blocks, which costs nothing.
#include "query/reader.h"

#include <algorithm>
#include <utility>

#include "memory/reserve_for.h"
#include "source/column_text.h"

namespace penstock::query {

ColumnReader::ColumnReader(const std::vector<NamedColumn>& columns, std::size_t file, MemoryBudget& budget)
    : columns_(columns), file_(file), budget_(budget), held_(columns.size()) {}

void ColumnReader::limit(RowIndex first, RowIndex last) {
  // Slabs that reach into the new limit are kept as they are: they hold those rows.
  limit_ = {first, last};
}

RowRange ColumnReader::slab_of(std::size_t column, RowIndex row) const {
  const RowRange held = held_[column].rows;
  if (row >= held.first && row < held.last) return held;
  const RowIndex step = std::max<RowIndex>(columns_[column].files[file_].column->rows_at_once(), 1);
  // Slabs begin at multiples of the step, where chunks and row groups do; reading from anywhere else would
  // decode two of them.
  const RowIndex begin = row / step * step;
  return {std::max(begin, limit_.first), std::min(begin + step, limit_.last)};
}

RowIndex ColumnReader::end_of_slabs(RowIndex at) const {
  RowIndex end = limit_.last;
  for (std::size_t c = 0; c < columns_.size(); ++c) end = std::min(end, slab_of(c, at).last);
  return end;
}

// Reads on demand: a step that is never run has its column never read.
Result<Slab> ColumnReader::at(std::size_t column, RowIndex row) {
  Held& held = held_[column];
  const NamedColumn::PerFile& file = columns_[column].files[file_];
  if (row < held.rows.first || row >= held.rows.last) {
    const RowRange rows = slab_of(column, row);
    held = {};  // the old slab goes before the new one comes
    const bool text = columns_[column].text;
    const std::size_t each = (text ? file.categories ? sizeof(std::int32_t) : sizeof(std::string) : 8) +
                             (file.column->masked() ? 1 : 0);
    PENSTOCK_ASSIGN_OR_RETURN(held.bytes,
                              reserve_for(file.column->where(), budget_, MemoryTag::obs, rows.size() * each));
    const std::uint64_t n_categories = file.categories ? file.categories->names.size() : 0;
    PENSTOCK_ASSIGN_OR_RETURN(held.values, file.column->read(rows.first, rows.size(), n_categories));
    // How long strings are is known only now.
    if (!held.values.strings.empty()) {
      PENSTOCK_RETURN_IF_ERROR(resize_for(file.column->where(), budget_, held.bytes, MemoryTag::obs,
                                          string_bytes(held.values.strings) + held.values.missing.size()));
    }
    held.rows = rows;
  }
  return Slab{&held.values, static_cast<std::size_t>(row - held.rows.first), file.categories.get()};
}

}  // namespace penstock::query
