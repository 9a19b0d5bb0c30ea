#include "parquet/list_source.h"

#include <algorithm>

namespace penstock::parquet {

std::size_t ListSource::group_of(RowIndex row) const {
  const auto after = std::upper_bound(groups_.begin(), groups_.end(), row,
                                      [](RowIndex at, const Group& group) { return at < group.first_row; });
  return static_cast<std::size_t>(after - groups_.begin()) - 1;
}

RowIndex ListSource::cut(RowIndex first, RowIndex target) const {
  const RowIndex n = traits_.n_rows;
  if (target >= n - first) return n;
  const RowIndex at = first + std::max<RowIndex>(target, 1);
  const std::size_t g = group_of(at);
  const RowIndex begin = groups_[g].first_row;
  const RowIndex near = begin + (whole_groups_ ? (at - begin <= begin + rows_of(g) - at ? 0 : rows_of(g))
                                               : genes_.pages.nearest(g, at - begin, rows_of(g)));
  if (near > first) return near;
  // Nothing nearer than what comes after.
  const std::size_t after = group_of(first) + 1;
  if (whole_groups_) return groups_[after].first_row;
  return at;
}

std::uint64_t ListSource::most_entries(RowRange rows) const {
  std::uint64_t entries = 0;
  for (std::size_t g = group_of(rows.first); g + 1 < groups_.size() && groups_[g].first_row < rows.last;
       ++g) {
    entries += groups_[g].entries;
  }
  return std::min(entries, rows.size() * longest_);
}

// The pages of the part of a range that lies in a row group.
PageSpan ListSource::span_of(const MatrixColumn& side, std::size_t group, RowRange range) const {
  const RowIndex begin = groups_[group].first_row, n = rows_of(group);
  const std::uint64_t first = range.first > begin ? range.first - begin : 0;
  return side.pages.span(group, first, std::min(range.last - begin, n), n);
}

void ListSource::add_requests(const MatrixColumn& side, std::span<const RowRange> wanted,
                              RequestList& list) const {
  for_each_group(wanted, [&](std::size_t g, std::span<const RowRange> ranges) {
    for (const RowRange& range : ranges) {
      const PageSpan span = span_of(side, g, range);
      if (span.dictionary < span.dictionary_end) {
        list.add(columns_.file.get(), span.dictionary, span.dictionary_end - span.dictionary);
      }
      list.add(columns_.file.get(), span.begin, span.end - span.begin);
    }
    return true;
  });
}

Status ListSource::requests(std::span<const RowRange> wanted, Heads, RequestList& list) const {
  add_requests(genes_, wanted, list);
  add_requests(values_, wanted, list);
  return {};
}

ReadCost ListSource::cost(std::span<const RowRange> wanted) const {
  ReadCost cost;
  for (const MatrixColumn* side : {&genes_, &values_}) {
    RequestList list;
    add_requests(*side, wanted, list);
    list.coalesce(0, kCoalesceMax);
    cost.decoded += static_cast<ByteCount>(static_cast<double>(list.total_bytes()) * side->expansion);
  }
  RequestList list;
  add_requests(genes_, wanted, list);
  add_requests(values_, wanted, list);
  list.coalesce(kCoalesceGap, kCoalesceMax);
  cost.stored = list.total_bytes();
  cost.requests = list.requests().size();
  return cost;
}

}  // namespace penstock::parquet
