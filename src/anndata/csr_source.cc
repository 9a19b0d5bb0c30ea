// A block of rows is decoded by moving two windows over the matrix in step, one over `data` and one over
// `indices` (entry_window.h), because each array has a grid of chunks of its own and a row may run over the
// edge of any chunk. With indptr = 0 3 6 8 12:
//
//     elements   0  1  2  3  4  5  6  7  8  9 10 11
//     data      [    c0     |    c1     |    c2     ]
//     indices   [       c0        |       c1        ]
//     rows      [   r0   |   r1   | r2  |    r3     ]
//
// Once the first chunk of each is decoded, r0 is whole and is handed out. Element 3, with which r1 begins,
// moves to the front of the window of data, c1 of data is decoded behind it, and r1 and no more can follow,
// as the window of indices ends with element 5.
//
// Where rows begin is said by indptr, which is kept in memory ("resident") or decoded again with each block.
// In the second case requests are made from the row tables alone (row_table.h). They tell which chunks rows
// touch, but not how far the last row goes into its last chunk, so a request for the head of that chunk is a
// guess. decode() knows better: if the guess was too short, it says so in Scratch::head_too_short, and the
// caller asks again for whole chunks.
#include "anndata/csr_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "anndata/entry_window.h"
#include "base/checked.h"
#include "source/numbers.h"

namespace penstock::anndata {

namespace {

// The grid of an array that is stored in one piece: small enough for the cache, large enough to cost nothing.
constexpr std::uint64_t kVirtualChunk = 16 << 10;

std::uint64_t grid_of(const store::Array& array) {
  return array.is_chunked() ? std::max<std::uint64_t>(array.chunk_elements(), 1) : kVirtualChunk;
}

// No chunk has this number and no element lies behind it: where a chunk is meant it stands for none, and
// where an element is meant for all that the chunk has.
constexpr std::uint64_t kTooMuch = ~std::uint64_t{0};
// Sizes follow from numbers in the file. They saturate, because a scratch of nearly 2^64 bytes is refused by
// every budget, while a sum that wrapped around would be granted and written beyond its end.
std::uint64_t aligned(std::uint64_t bytes) { return saturating_add(bytes, 63) / 64 * 64; }

ByteCount step_bytes(const store::Array& array) {
  return array.is_chunked() ? array.step_bytes() : array.range_scratch_bytes();
}

// Calls f(chunks) for the runs of chunks that ascending row ranges touch, each chunk once.
template <class F>
void for_each_chunk_run(const RowTable& rows, std::span<const RowRange> wanted, F&& f) {
  // Chunks before `done` have been passed on. Ranges may share a chunk: rows 5 and 9 where it has rows 0 to
  // 20.
  std::uint64_t done = 0;
  for (const RowRange& range : wanted) {
    ChunkSpan span = rows.chunks(range);
    span.first = std::max(span.first, done);
    if (span.empty()) continue;
    f(span);
    done = span.last;
  }
}

// Elements of the chunks that ascending row ranges touch.
std::uint64_t elements_touched(const RowTable& rows, std::span<const RowRange> wanted) {
  std::uint64_t elements = 0;
  for_each_chunk_run(rows, wanted, [&](ChunkSpan span) {
    elements +=
        std::min(span.last * rows.chunk_elements(), rows.entries()) - span.first * rows.chunk_elements();
  });
  return elements;
}

RowIndex total_rows(std::span<const RowRange> wanted) {
  RowIndex n = 0;
  for (const RowRange& range : wanted) n += range.size();
  return n;
}

// Walks the offsets of the wanted ranges, which lie one range after the other, ahead of the rows being
// decoded: how far into a chunk anything is wanted.
//
// With rows r0 and r3 of the picture above as two ranges the offsets are 0 3, 8 12. before(4) is 3: of chunk
// c0 of data three elements are needed, and c1 is not asked for at all. before(12) is 12.
//
// decode() makes the offsets of a range relative to a tile while it hands the range out. That does no harm:
// rows with entries are handed out only after the chunk that their range begins in, and by then both walkers
// (of data and of indices) have gone past the range.
class WantedEnd {
 public:
  WantedEnd(std::span<const RowRange> wanted, const std::uint64_t* offsets)
      : wanted_(wanted), offsets_(offsets) {}

  // One past the last wanted element before `limit`. Limits ascend between calls.
  std::uint64_t before(std::uint64_t limit) {
    while (next_ < wanted_.size() && offsets_[at_] < limit) {
      const std::uint64_t begin = offsets_[at_];
      at_ += wanted_[next_].size() + 1;
      if (offsets_[at_ - 1] > begin) end_ = offsets_[at_ - 1];  // nothing is wanted for empty rows
      ++next_;
    }
    return std::min(end_, limit);
  }

 private:
  const std::span<const RowRange> wanted_;
  const std::uint64_t* const offsets_;
  std::size_t next_ = 0, at_ = 0;  // the first range not looked at, and where its offsets begin
  std::uint64_t end_ = 0;
};

}  // namespace

// Where things lie in a scratch, each part 64-byte aligned. The offsets of a range take one element more than
// it has rows, so a list of one-row ranges needs two per row.
struct CsrSource::Layout {
  ByteCount offsets = 0, indptr_chunk = 0, data = 0, indices = 0, step = 0, end = 0;
  std::uint64_t data_capacity = 0, index_capacity = 0;  // elements
  ByteCount indptr_chunk_bytes = 0, step_bytes = 0;
};

CsrSource::Layout CsrSource::layout(RowIndex rows) const {
  const Opened& o = *opened_;
  Layout at;
  // scratch_bytes() asks for the end of this layout and decode() lays out the same, so what was reserved is
  // what is used.
  const auto place = [&at](ByteCount bytes) {
    const ByteCount begin = at.end;
    at.end = saturating_add(at.end, aligned(bytes));
    return begin;
  };
  at.data_capacity = EntryWindow::capacity(*o.data_rows, o.bounds.longest_row);
  at.index_capacity = EntryWindow::capacity(*o.index_rows, o.bounds.longest_row);
  at.step_bytes = std::max(step_bytes(*o.parts.data), step_bytes(*o.parts.indices));
  if (!offsets_) {
    at.indptr_chunk_bytes = OffsetDecoder::chunk_bytes(*o.parts.indptr);
    at.step_bytes = std::max(at.step_bytes, OffsetDecoder::step_bytes(*o.parts.indptr));
  }
  at.offsets = place(saturating_mul(std::min(rows, o.parts.n_rows), 2 * sizeof(std::uint64_t)));
  at.indptr_chunk = place(at.indptr_chunk_bytes);
  at.data = place(saturating_mul(at.data_capacity, o.parts.data->dtype().size));
  at.indices = place(saturating_mul(at.index_capacity, o.parts.indices->dtype().size));
  at.step = place(at.step_bytes);
  return at;
}

Result<std::shared_ptr<const CsrSource>> CsrSource::open(CsrParts parts, MemoryBudget& index_budget) {
  PENSTOCK_RETURN_IF_ERROR(check_sparse(parts, parts.n_rows, "rows"));
  auto opened = std::make_shared<Opened>();
  Opened& o = *opened;
  const std::uint64_t entries = parts.data->size();
  const auto table_of = [&](const store::Array& array) -> Result<std::shared_ptr<RowTable>> {
    auto table = RowTable::create(entries, grid_of(array), index_budget);
    if (table.ok()) return table;
    return std::move(table).status().with_context(array.where());
  };
  PENSTOCK_ASSIGN_OR_RETURN(auto data_rows, table_of(*parts.data));
  // One table does for both arrays where their grids are the same. They often differ: writers choose chunks
  // by their bytes, so float32 values beside int64 column numbers have twice as many in a chunk (formats.md,
  // 2.3).
  auto index_rows = data_rows;
  if (grid_of(*parts.indices) != grid_of(*parts.data)) {
    PENSTOCK_ASSIGN_OR_RETURN(index_rows, table_of(*parts.indices));
  }

  SourceTraits& traits = o.traits;
  PackedLengths packed;
  std::uint64_t previous = 0;
  PENSTOCK_RETURN_IF_ERROR(scan_indptr(*parts.indptr, entries, index_budget,
                                       [&](RowIndex first, std::span<const std::uint64_t> part) {
                                         for (std::size_t i = 0; i < part.size(); ++i) {
                                           const auto row = static_cast<std::uint32_t>(first + i);
                                           data_rows->add(row, part[i]);
                                           if (index_rows != data_rows) index_rows->add(row, part[i]);
                                           if (row > 0) traits.lengths.add(part[i] - previous);
                                           previous = part[i];
                                         }
                                         packed.add(part);
                                       }));
  traits.n_rows = parts.n_rows;
  traits.n_cols = parts.n_cols;
  traits.value_type = parts.data->dtype().number;
  traits.index_type = parts.indices->dtype().number;
  traits.layout = describe_sparse("csr", parts);
  traits.n_chunks = parts.data->n_chunks();
  // Of both arrays, because the last row of a block usually ends inside of a chunk of each. Mask 0: no filter
  // of the chunk was skipped.
  traits.cheap_heads =
      parts.data->filters().can_decode_head(0) && parts.indices->filters().can_decode_head(0);
  traits.largest_chunks = parts.data->largest_chunk() + parts.indices->largest_chunk();
  traits.stored_bytes = parts.data->stored_bytes() + parts.indices->stored_bytes();
  traits.offset_chunk = OffsetDecoder::chunk_bytes(*parts.indptr);
  if (traits.offset_chunk > 0)
    traits.offset_chunk_stored = parts.indptr->stored_bytes() / parts.indptr->n_chunks();
  o.bounds = {entries, traits.lengths.longest, packed.words()};
  o.data_rows = std::move(data_rows);
  o.index_rows = std::move(index_rows);
  o.parts = std::move(parts);
  return std::shared_ptr<const CsrSource>(new CsrSource(std::move(opened), nullptr));
}

const SourceTraits& CsrSource::traits() const { return opened_->traits; }
const std::string& CsrSource::label() const { return opened_->parts.label; }

RowIndex CsrSource::cut(RowIndex first, RowIndex target) const {
  const RowIndex n_rows = opened_->parts.n_rows;
  if (opened_->parts.data->is_chunked()) return opened_->data_rows->cut(first, target, n_rows);
  return target < n_rows - first ? first + std::max<RowIndex>(target, 1) : n_rows;
}

ReadCost CsrSource::cost(std::span<const RowRange> wanted) const {
  const Opened& o = *opened_;
  ReadCost cost;
  RequestList list;
  if (!requests(wanted, Heads::estimated, list).ok()) return cost;
  // As readers join requests, so that bytes in gaps that they read along with the rest are counted.
  list.coalesce(kCoalesceGap, kCoalesceMax);
  cost.stored = list.total_bytes();
  cost.requests = list.requests().size();
  cost.decoded = decoded_bytes(*o.parts.data, *o.data_rows, wanted) +
                 decoded_bytes(*o.parts.indices, *o.index_rows, wanted);
  if (!offsets_) cost.decoded += OffsetDecoder::decoded_bytes(*o.parts.indptr, wanted);
  return cost;
}

// As decode() goes through the chunks: each once, up to the last element that is wanted of it.
ByteCount CsrSource::decoded_bytes(const store::Array& array, const RowTable& rows,
                                   std::span<const RowRange> wanted) const {
  const std::uint64_t size = rows.chunk_elements();
  ByteCount bytes = 0;
  // The last chunk of the range before, of which the next range may want more, and where that one ends.
  std::uint64_t chunk = kTooMuch, end = 0;
  const auto flush = [&] {
    if (chunk != kTooMuch)
      bytes += array.decoded_bytes(chunk * size, std::min(end, rows.entries()) - chunk * size);
  };
  for (const RowRange& range : wanted) {
    const Elements of = likely_elements(rows, range);
    if (of.first >= of.last) continue;
    if (const std::uint64_t first = of.first / size; chunk != first) {
      flush();
      chunk = first;
    }
    for (end = of.last; (chunk + 1) * size < end; ++chunk) bytes += array.decoded_bytes(chunk * size, size);
  }
  flush();
  return bytes;
}

// Exact where offsets are in memory. Else chunks are known, and how far the last row goes into its is about
// right: too far as often as not far enough.
//
// Say that rows have 100 entries on average and chunks 1,000, that row 68 is the first to begin in the last
// chunk, and row 80 the first in the one behind it. Then rows there have 1,000 / 12 = 83 entries, and rows
// before 74 are expected to go 50 + 6 * 83 = 548 elements into the chunk.
CsrSource::Elements CsrSource::likely_elements(const RowTable& rows, RowRange range) const {
  Elements out;
  if (offsets_) {
    offsets_->read(range.first, {&out.first, 1});
    offsets_->read(range.last, {&out.last, 1});
    return out;
  }
  const ChunkSpan span = rows.chunks(range);
  if (span.empty()) return out;
  const std::uint64_t size = rows.chunk_elements(), chunk = span.last - 1, begin = chunk * size;
  const RowIndex first = rows.first_row(chunk);
  const double mean =
      static_cast<double>(opened_->bounds.entries) / static_cast<double>(opened_->parts.n_rows);
  // The first row to begin in a chunk begins half a row behind its edge.
  double per_row = mean;
  if (span.last < rows.n_chunks() && rows.first_row(span.last) > first)
    per_row = static_cast<double>(size) / static_cast<double>(rows.first_row(span.last) - first);
  const double into = mean / 2 + per_row * static_cast<double>(range.last - std::min(first, range.last));
  out.first = span.first * size;
  out.last = begin + std::clamp<std::uint64_t>(static_cast<std::uint64_t>(into), 1, size);
  return out;
}

std::uint64_t CsrSource::most_entries(RowRange rows) const {
  const Opened& o = *opened_;
  // Two upper bounds, of which the smaller is taken: what all chunks hold that these rows touch, and as many
  // entries for each row as the longest one has.
  const std::uint64_t by_chunks = rows.size() == 0 ? 0 : elements_touched(*o.data_rows, {&rows, 1});
  return std::min(by_chunks, rows.size() * o.bounds.longest_row);
}

// One past the last element that rows before `row` have in `chunk`, the last that they touch.
std::uint64_t CsrSource::expected_end(const store::Array& array, const RowTable& rows, RowIndex row,
                                      std::uint64_t chunk) const {
  if (offsets_) {
    std::uint64_t end = 0;
    offsets_->read(row, {&end, 1});
    return end;
  }
  // Without offsets only the row that lies over the chunk's edge can be told from more, and how far it goes
  // is a guess: twice the mean is too short for 2 % of the rows of an atlas.
  const std::uint64_t begin = chunk * rows.chunk_elements();
  if (!array.is_chunked() || rows.first_row(chunk) != row) return kTooMuch;
  // Row `row` - 1 is the one over the edge: it began before the chunk, and no other row that is wanted
  // reaches into it.
  return begin + 1 + 2 * opened_->bounds.entries / opened_->parts.n_rows;
}

void CsrSource::add_entry_requests(const store::Array& array, const RowTable& rows,
                                   std::span<const RowRange> wanted, Heads heads, RequestList& list) const {
  const std::uint64_t size = rows.chunk_elements();
  const auto add = [&](std::uint64_t chunk, std::uint64_t last_chunk, std::uint64_t last) {
    const std::uint64_t first = chunk * size;
    last = std::min({last, last_chunk * size, rows.entries()});
    if (first < last) array.add_requests(first, last - first, heads, list);
  };
  // The run of chunks [first, last) up to element `end` of its last chunk: the next range may want more of
  // that. A range that begins in the last chunk of the run, or in the one behind it, makes it longer, and
  // what was the last chunk is then wanted to its end.
  ChunkSpan run;
  std::uint64_t end = 0;
  for (const RowRange& range : wanted) {
    const ChunkSpan span = rows.chunks(range);
    if (span.empty()) continue;
    if (run.empty() || span.first > run.last) {
      if (!run.empty()) add(run.first, run.last, end);
      run = span;
    } else {
      run.last = span.last;
    }
    end = expected_end(array, rows, range.last, span.last - 1);
  }
  if (!run.empty()) add(run.first, run.last, end);
}

Status CsrSource::requests(std::span<const RowRange> wanted, Heads heads, RequestList& list) const {
  const Opened& o = *opened_;
  add_entry_requests(*o.parts.data, *o.data_rows, wanted, heads, list);
  add_entry_requests(*o.parts.indices, *o.index_rows, wanted, heads, list);
  if (!offsets_) {
    for (const RowRange& range : wanted) {
      // One offset more than rows: a row ends where the next one begins.
      o.parts.indptr->add_requests(range.first, range.size() + 1, Heads::whole, list);
    }
  }
  return {};
}

ByteCount CsrSource::scratch_bytes(RowIndex max_rows) const { return layout(max_rows).end; }

// Fills the offsets of every wanted range, one range after the other.
Status CsrSource::read_offsets(std::span<const RowRange> wanted, const Fetched& fetched, CodecContext& codec,
                               const Layout& at, std::byte* scratch) const {
  const Opened& o = *opened_;
  auto* out = reinterpret_cast<std::uint64_t*>(scratch + at.offsets);
  if (offsets_) {
    for (const RowRange& range : wanted) {
      offsets_->read(range.first, {out, range.size() + 1});
      out += range.size() + 1;
    }
    return {};
  }
  OffsetDecoder decoder(*o.parts.indptr, o.bounds, fetched, codec,
                        {scratch + at.indptr_chunk, at.indptr_chunk_bytes},
                        {scratch + at.step, at.step_bytes});
  for (const RowRange& range : wanted) {
    PENSTOCK_RETURN_IF_ERROR(decoder.read(range.first, wanted.back().last + 1, {out, range.size() + 1}));
    out += range.size() + 1;
  }
  return {};
}

Status CsrSource::decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                         RowSink& sink) const {
  const Opened& o = *opened_;
  const Layout at = layout(total_rows(wanted));
  if (wanted.empty()) return {};
  PENSTOCK_RETURN_IF_ERROR(check_scratch(*this, scratch, at.end));
  std::byte* const base = scratch.bytes.data();
  CodecContext& codec = *scratch.codec;
  scratch.head_too_short = false;
  const std::span<std::byte> step(base + at.step, at.step_bytes);
  PENSTOCK_RETURN_IF_ERROR(read_offsets(wanted, fetched, codec, at, base));

  auto* offsets = reinterpret_cast<std::uint64_t*>(base + at.offsets);
  EntryWindow data(*o.parts.data, *o.data_rows, base + at.data, at.data_capacity);
  EntryWindow indices(*o.parts.indices, *o.index_rows, base + at.indices, at.index_capacity);
  WantedEnd data_end(wanted, offsets), index_end(wanted, offsets);
  const auto advance = [&](EntryWindow& window, WantedEnd& wanted_end, std::uint64_t need) {
    const std::uint64_t chunk = window.next_chunk(need);
    return window.advance(need, chunk, wanted_end.before(window.chunk_end(chunk)), fetched, codec, step,
                          &scratch.head_too_short);
  };

  // A tile is as many rows of a range as lie in both windows. If that is none, the window that lags moves on
  // by a chunk, and the rows are counted again. An empty row needs no element, so it always fits.
  CsrTile tile;
  tile.index_type = o.traits.index_type;
  tile.value_type = o.traits.value_type;
  for (const RowRange& range : wanted) {
    const std::size_t n = range.size();
    for (std::size_t row = 0; row < n;) {
      const std::uint64_t begin = offsets[row];
      const std::uint64_t available = std::min(data.end(), indices.end());
      std::size_t after = row;
      while (after < n && (offsets[after + 1] <= available || offsets[after + 1] == begin)) ++after;
      if (after == row) {
        // The window that lags is the one that lacks entries of this row, so what it carries over is shorter
        // than the row.
        const bool lacks_data = data.end() <= indices.end();
        PENSTOCK_RETURN_IF_ERROR(lacks_data ? advance(data, data_end, begin)
                                            : advance(indices, index_end, begin));
        continue;
      }
      // Offsets become relative to the tile in place; the last one is the first of the next tile and comes
      // back.
      const std::uint64_t end = offsets[after];
      for (std::size_t i = row; i <= after; ++i) offsets[i] -= begin;
      tile.rows = {range.first + row, range.first + after};
      tile.begins = offsets + row;
      tile.ends = offsets + row + 1;
      tile.values = end == begin ? data.buffer() : data.at(begin);
      tile.indices = end == begin ? indices.buffer() : indices.at(begin);
      tile.first_element = begin;
      PENSTOCK_RETURN_IF_ERROR(sink.csr(tile));
      // Those of empty rows come back all: WantedEnd may not have been there yet.
      if (end == begin) std::fill(offsets + row, offsets + after, begin);
      offsets[after] = end;
      row = after;
    }
    offsets += n + 1;
  }
  return {};
}

ByteCount CsrSource::resident_bytes() const {
  return RowOffsets::bytes(opened_->parts.n_rows, opened_->bounds);
}

Result<std::shared_ptr<const RowSource>> CsrSource::resident(MemoryBudget& budget) const {
  // Arrays, tables and traits are shared with the twin; only the offsets are its own.
  PENSTOCK_ASSIGN_OR_RETURN(RowOffsets offsets,
                            RowOffsets::create(*opened_->parts.indptr, opened_->bounds, budget));
  return std::shared_ptr<const RowSource>(
      new CsrSource(opened_, std::make_shared<const RowOffsets>(std::move(offsets))));
}

}  // namespace penstock::anndata
