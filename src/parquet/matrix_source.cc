// What lists, triplets and wide files have in common: blocks end where the storage does, if that is not too
// far from where they were asked to end, and cost what their pages cost.
//
//     row groups    |0        1000|        2000|        3000|
//     cut(0, 1200)  nearest boundary of 1200 is 1000: the block is [0, 1000)
//     cut(0, 400)   nearest is 0, which is no block; boundary_after(0, 400): of a layout that reads whole
//                   row groups 1000, of one that reads pages 400
#include "parquet/matrix_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "codecs/compression.h"

namespace penstock::parquet {

Status MatrixSource::check_rows(std::uint64_t n_rows) const {
  if (n_rows < 0xffffffffu) return {};
  return Status::unsupported(
      fmt::format("{}: {} rows in one file; fewer than 2^32 - 1 are read", label_, n_rows));
}

RowIndex MatrixSource::cut(RowIndex first, RowIndex target) const {
  const RowIndex n = traits_.n_rows;
  // A difference, since first + target might wrap for a target of "everything".
  if (target >= n - first) return n;
  const RowIndex at = first + std::max<RowIndex>(target, 1);
  const RowIndex near = nearest_boundary(at);
  return near > first ? near : boundary_after(first, at);
}

Status MatrixSource::requests(std::span<const RowRange> wanted, Heads, RequestList& list) const {
  for (std::size_t i = 0; i < n_sides(); ++i) add_requests(i, wanted, list);
  return {};
}

// Bytes that are decoded follow from what is read of each side by itself, without the gaps that joining
// requests reads along: they are not decoded. Bytes and number of reads follow from the requests as an epoch
// joins them.
ReadCost MatrixSource::cost(std::span<const RowRange> wanted) const {
  ReadCost cost;
  RequestList all;
  for (std::size_t i = 0; i < n_sides(); ++i) {
    RequestList list;
    add_requests(i, wanted, list);
    list.coalesce(0, kCoalesceMax);
    cost.decoded += static_cast<ByteCount>(static_cast<double>(list.total_bytes()) * side(i).expansion);
    add_requests(i, wanted, all);
  }
  all.coalesce(kCoalesceGap, kCoalesceMax);
  cost.stored = all.total_bytes();
  cost.requests = all.requests().size();
  return cost;
}

// Columns are decoded one after the other: one context at a time.
ByteCount MatrixSource::codec_scratch() const {
  ByteCount most = 0;
  for (std::size_t i = 0; i < n_sides(); ++i) most = std::max(most, compression_bytes(side(i).codec));
  return most;
}

ByteCount MatrixSource::scratch_bytes(RowIndex) const { return own_scratch() + codec_scratch(); }

// Everything that reading needs was read at open; there is nothing else to take into memory.
Result<std::shared_ptr<const RowSource>> MatrixSource::resident(MemoryBudget&) const {
  return std::shared_ptr<const RowSource>(shared_from_this(), this);
}

void MatrixSource::add_span(const PageSpan& span, RequestList& list) const {
  if (span.dictionary < span.dictionary_end) {
    list.add(file_.get(), span.dictionary, span.dictionary_end - span.dictionary);
  }
  list.add(file_.get(), span.begin, span.end - span.begin);
}

}  // namespace penstock::parquet
