// Where the rows of triplets lie. Two numberings meet here: rows of the matrix, and elements, which are rows
// of the file and what pages and row groups count. RowEnds leads from the first to the second and back.
#include "parquet/coo_source.h"

#include <algorithm>

namespace penstock::parquet {

// The row that begins nearest to where a page of values does.
RowIndex CooSource::nearest_boundary(RowIndex at) const {
  const std::uint64_t element = ends_.begin(at);
  // Empty rows at the end of the matrix lie behind all elements.
  if (element >= groups_.total()) return at;
  const std::size_t g = groups_.group_of(element);
  const std::uint64_t begin = groups_.first(g);
  // A block that ends where a page does leaves no page to be decompressed twice.
  const std::uint64_t near = begin + data_.pages.nearest(g, element - begin, groups_.size(g));
  return near >= groups_.total() ? traits_.n_rows : ends_.row_of(near);
}

std::uint64_t CooSource::most_entries(RowRange rows) const {
  return rows.size() == 0 ? 0 : ends_.end(rows.last - 1) - ends_.begin(rows.first);
}

// The range may begin before the group and end behind it; positions are within the group.
PageSpan CooSource::span_of(const MatrixColumn& side, std::size_t group, std::uint64_t first,
                            std::uint64_t last) const {
  const std::uint64_t begin = groups_.first(group), n = groups_.size(group);
  return side.pages.span(group, first > begin ? first - begin : 0, std::min(last - begin, n), n);
}

void CooSource::add_requests(std::size_t i, std::span<const RowRange> wanted, RequestList& list) const {
  for (const RowRange& range : wanted) {
    const std::uint64_t last = ends_.end(range.last - 1);
    // A range of rows touches as many row groups as its elements do; of rows without elements it touches
    // none.
    for (std::uint64_t at = ends_.begin(range.first); at < last;) {
      const std::size_t g = groups_.group_of(at);
      add_span(span_of(side(i), g, at, last), list);
      at = groups_.end(g);
    }
  }
}

}  // namespace penstock::parquet
