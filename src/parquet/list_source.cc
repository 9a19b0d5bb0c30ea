// Where the rows of lists lie: in row groups, and where those are large, in pages. Both columns have their
// own pages; blocks end where pages of genes do, and a page of values that lies across such an end is read by
// both blocks.
#include "parquet/list_source.h"

#include <algorithm>

namespace penstock::parquet {

RowIndex ListSource::nearest_boundary(RowIndex at) const {
  if (whole_groups_) return groups_.nearest(at);
  const std::size_t g = groups_.group_of(at);
  return groups_.first(g) + genes_.pages.nearest(g, at - groups_.first(g), groups_.size(g));
}

// A row group that is read whole is decoded whole, so a block inside of it would cost as much as all of it.
RowIndex ListSource::boundary_after(RowIndex first, RowIndex at) const {
  return whole_groups_ ? groups_.end(groups_.group_of(first)) : at;
}

// Two bounds, of which the smaller one counts: all entries of the row groups, and as many rows of the longest
// length.
std::uint64_t ListSource::most_entries(RowRange rows) const {
  std::uint64_t entries = 0;
  for (std::size_t g = groups_.group_of(rows.first); g < groups_.n_groups() && groups_.first(g) < rows.last;
       ++g) {
    entries += elements_[g];
  }
  return std::min(entries, rows.size() * longest_);
}

PageSpan ListSource::span_of(const MatrixColumn& side, std::size_t group, RowRange range) const {
  const RowIndex begin = groups_.first(group), n = groups_.size(group);
  const std::uint64_t first = range.first > begin ? range.first - begin : 0;
  return side.pages.span(group, first, std::min(range.last - begin, n), n);
}

void ListSource::add_requests(std::size_t i, std::span<const RowRange> wanted, RequestList& list) const {
  groups_.for_each_group(wanted, [&](std::size_t g, std::span<const RowRange> ranges) {
    for (const RowRange& range : ranges) add_span(span_of(side(i), g, range), list);
    return true;
  });
}

}  // namespace penstock::parquet
