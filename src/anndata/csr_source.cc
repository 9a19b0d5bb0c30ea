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

constexpr std::uint64_t kTooMuch = ~std::uint64_t{0};
std::uint64_t saturating_mul(std::uint64_t a, std::uint64_t b) {
  return checked_mul(a, b).value_or(kTooMuch);
}
std::uint64_t saturating_add(std::uint64_t a, std::uint64_t b) {
  return checked_add(a, b).value_or(kTooMuch);
}
std::uint64_t aligned(std::uint64_t bytes) { return saturating_add(bytes, 63) / 64 * 64; }

ByteCount step_bytes(const store::Array& array) {
  return array.is_chunked() ? array.step_bytes() : array.range_scratch_bytes();
}

ByteCount largest_chunk(const store::Array& array) {
  ByteCount largest = 0;
  for (std::uint64_t i = 0; i < array.n_chunks(); ++i) largest = std::max(largest, array.chunk(i).stored);
  return largest;
}

Status check_numbers(const store::Array& array, bool integers) {
  if (array.shape().size() != 1) {
    return Status::corrupt(fmt::format("{}: {} dimensions, expected 1", array.where(), array.shape().size()));
  }
  const store::DataType& type = array.dtype();
  if (type.cls != store::TypeClass::number || (integers && is_floating(type.number))) {
    return Status::unsupported(fmt::format("{}: elements of type {}, expected {}", array.where(),
                                           type.description, integers ? "integers" : "numbers"));
  }
  return {};
}

Status check_parts(const CsrParts& parts) {
  PENSTOCK_RETURN_IF_ERROR(check_numbers(*parts.data, false));
  PENSTOCK_RETURN_IF_ERROR(check_numbers(*parts.indices, true));
  PENSTOCK_RETURN_IF_ERROR(check_numbers(*parts.indptr, true));
  if (parts.data->size() != parts.indices->size()) {
    return Status::corrupt(fmt::format("{}: data has {} elements and indices {}", parts.label,
                                       parts.data->size(), parts.indices->size()));
  }
  if (parts.n_rows >= 0xffffffffu) {
    return Status::unsupported(
        fmt::format("{}: {} rows in one file; fewer than 2^32 - 1 are read", parts.label, parts.n_rows));
  }
  if (parts.indptr->size() != parts.n_rows + 1) {
    return Status::corrupt(fmt::format("{}: indptr has {} elements, expected {} (rows + 1)", parts.label,
                                       parts.indptr->size(), parts.n_rows + 1));
  }
  return {};
}

std::string grid_text(const store::Array& array) {
  return array.is_chunked() ? format_count(array.chunk_elements()) : std::string("one piece");
}

std::string describe(const CsrParts& parts) {
  const store::Array &data = *parts.data, &indices = *parts.indices;
  std::string text =
      fmt::format("csr {}/{}, ", numeric_name(data.dtype().number), numeric_name(indices.dtype().number));
  if (!data.is_chunked() && !indices.is_chunked()) return text + "contiguous";
  text += "chunks of " + grid_text(data);
  if (grid_text(data) != grid_text(indices)) text += " and " + grid_text(indices);
  return text + ", " + (data.is_chunked() ? data : indices).filters().describe();
}

// Calls f(chunks) for the runs of chunks that ascending row ranges touch, each chunk once.
template <class F>
void for_each_chunk_run(const RowTable& rows, std::span<const RowRange> wanted, F&& f) {
  std::uint64_t done = 0;
  for (const RowRange& range : wanted) {
    ChunkSpan span = rows.chunks(range);
    span.first = std::max(span.first, done);
    if (span.empty()) continue;
    f(span);
    done = span.last;
  }
}

ByteCount decoded_bytes(const store::Array& array, const RowTable& rows, std::span<const RowRange> wanted) {
  ByteCount bytes = 0;
  for_each_chunk_run(rows, wanted, [&](ChunkSpan span) {
    const std::uint64_t first = span.first * rows.chunk_elements();
    bytes += (std::min(span.last * rows.chunk_elements(), rows.entries()) - first) * array.dtype().size;
  });
  return bytes;
}

RowIndex total_rows(std::span<const RowRange> wanted) {
  RowIndex n = 0;
  for (const RowRange& range : wanted) n += range.size();
  return n;
}

// Walks the offsets of the wanted ranges, which lie one range after the other, ahead of the rows being
// decoded: how far into a chunk anything is wanted.
class WantedEnd {
 public:
  WantedEnd(std::span<const RowRange> wanted, const std::uint64_t* offsets)
      : wanted_(wanted), offsets_(offsets) {}

  // One past the last wanted element before `limit`. Limits ascend between calls.
  std::uint64_t before(std::uint64_t limit) {
    while (next_ < wanted_.size() && offsets_[at_] < limit) {
      at_ += wanted_[next_].size() + 1;
      end_ = offsets_[at_ - 1];
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
  PENSTOCK_RETURN_IF_ERROR(check_parts(parts));
  auto opened = std::make_shared<Opened>();
  Opened& o = *opened;
  const std::uint64_t entries = parts.data->size();
  const auto table_of = [&](const store::Array& array) -> Result<std::shared_ptr<RowTable>> {
    auto table = RowTable::create(entries, grid_of(array), index_budget);
    if (table.ok()) return table;
    return std::move(table).status().with_context(array.where());
  };
  PENSTOCK_ASSIGN_OR_RETURN(auto data_rows, table_of(*parts.data));
  auto index_rows = data_rows;
  if (grid_of(*parts.indices) != grid_of(*parts.data)) {
    PENSTOCK_ASSIGN_OR_RETURN(index_rows, table_of(*parts.indices));
  }

  SourceTraits& traits = o.traits;
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
                                       }));
  traits.n_rows = parts.n_rows;
  traits.n_cols = parts.n_cols;
  traits.value_type = parts.data->dtype().number;
  traits.index_type = parts.indices->dtype().number;
  traits.layout = describe(parts);
  traits.n_chunks = parts.data->n_chunks();
  traits.cheap_heads =
      parts.data->filters().can_decode_head(0) && parts.indices->filters().can_decode_head(0);
  traits.largest_chunks = largest_chunk(*parts.data) + largest_chunk(*parts.indices);
  traits.stored_bytes = parts.data->stored_bytes() + parts.indices->stored_bytes();
  o.bounds = {entries, traits.lengths.longest};
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
  list.coalesce(kCoalesceGap, kCoalesceMax);
  cost.stored = list.total_bytes();
  cost.requests = list.requests().size();
  cost.decoded = decoded_bytes(*o.parts.data, *o.data_rows, wanted) +
                 decoded_bytes(*o.parts.indices, *o.index_rows, wanted);
  if (!offsets_) cost.decoded += (total_rows(wanted) + wanted.size()) * o.parts.indptr->dtype().size;
  return cost;
}

std::uint64_t CsrSource::most_entries(RowRange rows) const {
  const Opened& o = *opened_;
  const std::uint64_t by_chunks =
      rows.size() == 0 ? 0
                       : decoded_bytes(*o.parts.data, *o.data_rows, {&rows, 1}) / o.parts.data->dtype().size;
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
  // that.
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
  if (scratch.bytes.size() < at.end || scratch.codec == nullptr) {
    return Status::internal(
        fmt::format("{}: a scratch of {} bytes, {} are needed", o.parts.label, scratch.bytes.size(), at.end));
  }
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
  PENSTOCK_ASSIGN_OR_RETURN(RowOffsets offsets,
                            RowOffsets::create(*opened_->parts.indptr, opened_->bounds, budget));
  return std::shared_ptr<const RowSource>(
      new CsrSource(opened_, std::make_shared<const RowOffsets>(std::move(offsets))));
}

}  // namespace penstock::anndata
