#include "parquet/coo_source.h"

#include <algorithm>

#include "base/checked.h"

namespace penstock::parquet {

// The row group of an element; of empty groups none.
std::size_t CooSource::group_of(std::uint64_t element) const {
  return static_cast<std::size_t>(std::upper_bound(first_.begin(), first_.end(), element) - first_.begin()) -
         1;
}

RowIndex CooSource::cut(RowIndex first, RowIndex target) const {
  const RowIndex n = traits_.n_rows;
  if (target >= n - first) return n;
  const RowIndex at = first + std::max<RowIndex>(target, 1);
  // The row that begins nearest to where a page of values does.
  const std::uint64_t element = ends_.begin(at);
  if (element >= first_.back()) return at;
  const std::size_t g = group_of(element);
  const std::uint64_t near = first_[g] + data_.pages.nearest(g, element - first_[g], elements_of(g));
  const RowIndex row = near >= first_.back() ? n : ends_.row_of(near);
  // Empty rows, and a row longer than a page: where it was asked for.
  return row > first ? row : at;
}

std::uint64_t CooSource::most_entries(RowRange rows) const {
  return rows.size() == 0 ? 0 : ends_.end(rows.last - 1) - ends_.begin(rows.first);
}

PageSpan CooSource::span_of(const MatrixColumn& side, std::size_t group, std::uint64_t first,
                            std::uint64_t last) const {
  const std::uint64_t begin = first_[group], n = elements_of(group);
  return side.pages.span(group, first > begin ? first - begin : 0, std::min(last - begin, n), n);
}

void CooSource::add_requests(const MatrixColumn& side, std::span<const RowRange> wanted,
                             RequestList& list) const {
  for (const RowRange& range : wanted) {
    const std::uint64_t last = ends_.end(range.last - 1);
    for (std::uint64_t at = ends_.begin(range.first); at < last;) {
      const std::size_t g = group_of(at);
      const PageSpan span = span_of(side, g, at, last);
      if (span.dictionary < span.dictionary_end) {
        list.add(columns_.file.get(), span.dictionary, span.dictionary_end - span.dictionary);
      }
      list.add(columns_.file.get(), span.begin, span.end - span.begin);
      at = first_[g + 1];
    }
  }
}

Status CooSource::requests(std::span<const RowRange> wanted, Heads, RequestList& list) const {
  add_requests(col_, wanted, list);
  add_requests(data_, wanted, list);
  return {};
}

ReadCost CooSource::cost(std::span<const RowRange> wanted) const {
  ReadCost cost;
  RequestList all;
  for (const MatrixColumn* side : {&col_, &data_}) {
    RequestList list;
    add_requests(*side, wanted, list);
    list.coalesce(0, kCoalesceMax);
    cost.decoded += static_cast<ByteCount>(static_cast<double>(list.total_bytes()) * side->expansion);
    add_requests(*side, wanted, all);
  }
  all.coalesce(kCoalesceGap, kCoalesceMax);
  cost.stored = all.total_bytes();
  cost.requests = all.requests().size();
  return cost;
}

}  // namespace penstock::parquet
