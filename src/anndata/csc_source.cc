// Rows of a matrix by columns can be put together without sorting, once it is known how long each row is.
// That is why open reads all of `indices`: it counts how often each row number comes. Then every wanted row
// gets its place in memory, and a pass over the matrix drops each entry at the place where its row goes on:
//
//     column      0      1      2          lengths of the rows: 3 1 2
//     indices     0 2    0 1    0 2
//     data        a b    c d    e f
//
//     next before the pass    0 3 4        ids      0 1 2 | 1 | 0 2
//     next after it           3 4 6        values   a c e | d | b f
//
// Columns come in order, so the column numbers of a row ascend. If only row 2 is wanted, next of the others
// is TurnedRows::kNotWanted, and their entries are passed over.
//
// source/column_pass.h spreads the parts of a pass over threads: decode() of several parts runs at the same
// time, place() of one part after the other. On disk: a group with encoding-type csc_matrix (formats.md,
// 2.1), whose indptr has an offset for each column and one more.
#include "anndata/csc_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "base/checked.h"
#include "base/load.h"
#include "memory/reserve_for.h"
#include "source/column_map.h"
#include "source/column_pass.h"
#include "source/numbers.h"

namespace penstock::anndata {
namespace {

// A part is a run of elements, of data and of indices alike, that one thread reads and decodes at a time. It
// is about as long as this: what it decodes to is still in the second-level cache, and what a part costs
// besides is little against it.
constexpr std::uint64_t kPartElements = 64 << 10;
constexpr std::uint64_t kPartChunks = 256;  // of small ones: a bound of a part's list of requests
// Rows that are handed out at a time: what their two arrays of offsets take on the stack.
constexpr std::size_t kTileRows = 256;

// As column numbers are handed out. Most matrices have fewer than 65,536 genes, and 2 bytes instead of 4 are
// written to places all over the memory of the rows.
NumericType id_type(ColIndex n_cols) { return n_cols <= 65536 ? NumericType::u16 : NumericType::u32; }

// n row numbers as 32 bits each; how many are inside [0, n_rows), up to the first that is not.
std::size_t take_rows(NumericType type, const std::byte* raw, std::size_t n, RowIndex n_rows,
                      std::uint32_t* out) {
  return with_integer(type, [&]<class T>() {
    for (std::size_t i = 0; i < n; ++i) {
      const T value = load<T>(raw, i);
      // A negative one becomes more than there are rows.
      const auto row = static_cast<std::uint64_t>(value);
      if (row >= n_rows) return i;
      out[i] = static_cast<std::uint32_t>(row);
    }
    return n;
  });
}

// Entries of one column to where their rows are. False when a row got more than it has room for. Values are
// moved and never looked at, so that Bits is any unsigned integer as wide as they are.
template <class Id, class Bits>
bool place_column(const std::uint32_t* rows, const std::byte* values, std::size_t n, ColIndex column,
                  const TurnedRows& to) {
  const auto first = static_cast<std::uint32_t>(to.rows().first);
  const auto n_rows = static_cast<std::uint32_t>(to.rows().size());
  const auto capacity = static_cast<std::uint32_t>(to.capacity());
  std::uint32_t* const next = to.next();
  auto* const ids = reinterpret_cast<Id*>(to.ids());
  auto* const out = reinterpret_cast<Bits*>(to.values());
  const auto* const in = reinterpret_cast<const Bits*>(values);
  for (std::size_t i = 0; i < n; ++i) {
    // A row before `first` wraps around to a large number, so one comparison checks both ends.
    const std::uint32_t row = rows[i] - first;
    if (row >= n_rows) continue;
    const std::uint32_t at = next[row];
    // kNotWanted is larger than every capacity. Rows that nobody wants need no check of their own therefore,
    // and a row can never be written behind the end of the memory.
    if (at >= capacity) {
      if (at == TurnedRows::kNotWanted) continue;
      return false;
    }
    next[row] = at + 1;
    ids[at] = static_cast<Id>(column);
    out[at] = in[i];
  }
  return true;
}

using PlaceColumn = bool (*)(const std::uint32_t*, const std::byte*, std::size_t, ColIndex,
                             const TurnedRows&);

template <class Id>
PlaceColumn place_column_of(std::size_t item) {
  switch (item) {
    case 1:
      return place_column<Id, std::uint8_t>;
    case 2:
      return place_column<Id, std::uint16_t>;
    case 4:
      return place_column<Id, std::uint32_t>;
    default:
      return place_column<Id, std::uint64_t>;
  }
}

}  // namespace

Result<std::shared_ptr<const CscSource>> CscSource::open(CscParts parts, MemoryBudget& index_budget) {
  PENSTOCK_RETURN_IF_ERROR(check_sparse(parts, parts.n_cols, "columns"));
  // Column numbers are handed out in 32 bits, of which the last one means "dropped" (column_map.h).
  if (parts.n_cols >= 0xffffffffu) {
    return Status::unsupported(
        fmt::format("{}: {} columns; fewer than 2^32 - 1 are read", parts.label, parts.n_cols));
  }
  std::shared_ptr<CscSource> out(new CscSource(std::move(parts)));
  PENSTOCK_RETURN_IF_ERROR(out->read_offsets(index_budget));
  PENSTOCK_RETURN_IF_ERROR(out->count_rows(index_budget));
  out->fill_traits();
  out->choose_part();
  PENSTOCK_RETURN_IF_ERROR(out->measure_pass());
  return std::shared_ptr<const CscSource>(std::move(out));
}

Status CscSource::read_offsets(MemoryBudget& budget) {
  // RowOffsets speaks of rows. Here they are columns, and the longest row is the longest column.
  OffsetBounds bounds{.entries = n_entries()};
  PackedLengths packed;
  std::uint64_t previous = 0;
  PENSTOCK_RETURN_IF_ERROR(scan_indptr(
      *parts_.indptr, n_entries(), budget,
      [&](RowIndex, std::span<const std::uint64_t> part) {
        for (const std::uint64_t offset : part) {
          bounds.longest_row = std::max(bounds.longest_row, offset - previous);
          previous = offset;
        }
        packed.add(part);
      },
      "column"));
  bounds.packed_words = packed.words();
  PENSTOCK_ASSIGN_OR_RETURN(offsets_, RowOffsets::create(*parts_.indptr, bounds, budget));
  return {};
}

// How often each row number comes. Whole chunks, so that none is decoded twice: of chunks of 10,000 elements
// six at a time, the most that 65,536 elements hold.
Status CscSource::count_rows(MemoryBudget& budget) {
  const store::Array& indices = *parts_.indices;
  const std::size_t item = indices.dtype().size;
  std::uint64_t slab = kPartElements;
  if (indices.is_chunked()) {
    const std::uint64_t chunk = std::max<std::uint64_t>(indices.chunk_elements(), 1);
    slab = chunk >= slab ? chunk : slab / chunk * chunk;
  }
  slab = std::min(slab, n_entries());
  // The number of rows is only what an attribute says. It has to fit the budget before so much is taken.
  PENSTOCK_ASSIGN_OR_RETURN(held_, reserve_for(parts_.label + ": lengths of rows", budget, MemoryTag::index,
                                               parts_.n_rows * sizeof(std::uint32_t)));
  const auto slab_bytes = checked_mul(slab, item + sizeof(std::uint32_t));
  if (!slab_bytes) return Status::corrupt(indices.where() + ": a chunk larger than memory");
  PENSTOCK_ASSIGN_OR_RETURN(const auto held,
                            reserve_for(indices.where(), budget, MemoryTag::index, *slab_bytes));
  try {
    lengths_.resize(parts_.n_rows);
    std::vector<std::byte> raw(slab * item);
    std::vector<std::uint32_t> rows(slab);
    for (std::uint64_t first = 0; first < n_entries(); first += slab) {
      const auto n = static_cast<std::size_t>(std::min(slab, n_entries() - first));
      PENSTOCK_RETURN_IF_ERROR(indices.read_range(first, n, std::span(raw.data(), n * item)));
      const std::size_t good = take_rows(indices.dtype().number, raw.data(), n, parts_.n_rows, rows.data());
      if (good < n) return bad_row(first + good);
      for (std::size_t i = 0; i < n; ++i) {
        // A count that is 0 after it was raised has wrapped around.
        if (++lengths_[rows[i]] == 0) {
          return Status::unsupported(
              fmt::format("{}: row {} has 2^32 entries or more", parts_.label, rows[i]));
        }
      }
    }
  } catch (const std::bad_alloc&) {
    return Status::budget(parts_.label + ": the system has no memory for the lengths of rows");
  }
  return {};
}

Status CscSource::bad_row(std::uint64_t element) const {
  return Status::corrupt(fmt::format("{}: element {}, of column {}: row number outside [0, {})",
                                     parts_.indices->where(), element, column_of(element), parts_.n_rows));
}

void CscSource::fill_traits() {
  const store::Array &data = *parts_.data, &indices = *parts_.indices;
  SourceTraits& t = traits_;
  t.n_rows = parts_.n_rows;
  t.n_cols = parts_.n_cols;
  t.value_type = data.dtype().number;
  t.index_type = id_type(parts_.n_cols);
  for (const std::uint32_t n : lengths_) t.lengths.add(n);
  t.layout = describe_sparse("csc", parts_);
  t.stored_bytes = data.stored_bytes() + indices.stored_bytes();
  // What count_rows() has read.
  t.bytes_passed = indices.stored_bytes();
  // No chunk has rows of its own: n_chunks stays 0.
}

// Parts end with chunks of the array that has the larger ones, so that these are decoded once; of the other
// array a chunk on the edge of two parts is decoded for both, unless its grid divides the larger one.
//
// Chunks of 3,000 and 1,500 elements give parts of 65,536 / 3,000 * 3,000 = 63,000. Chunks of 100 and 50 give
// parts of 256 * 50 = 12,800, since more of them would make the list of requests too long.
void CscSource::choose_part() {
  const auto grid = [](const store::Array& array) {
    return array.is_chunked() ? std::max<std::uint64_t>(array.chunk_elements(), 1) : 0;
  };
  const std::uint64_t data = grid(*parts_.data), indices = grid(*parts_.indices);
  const std::uint64_t larger = std::max<std::uint64_t>(1, std::max(data, indices));
  std::uint64_t smaller = std::min(data, indices);
  if (smaller == 0) smaller = larger;
  std::uint64_t most = kPartElements;
  const bool chunked = parts_.data->is_chunked() || parts_.indices->is_chunked();
  if (chunked) most = std::min(most, smaller * kPartChunks);
  part_elements_ = larger >= most ? larger : most / larger * larger;
  part_elements_ = std::min(part_elements_, std::max<std::uint64_t>(1, n_entries()));
}

// Goes through the requests of a pass without reading. They are joined part by part, as they will be when a
// thread reads a part.
Status CscSource::measure_pass() {
  RequestList list;
  // As decode() counts it. A chunk on the edge of two parts is decoded as far as each of them goes.
  const auto decoded = [](const store::Array& array, Elements of) {
    if (!array.is_chunked()) return array.decoded_bytes(of.first, of.size());
    ByteCount bytes = 0;
    const std::uint64_t size = array.chunk_elements();
    for (std::uint64_t c = of.first / size; c * size < of.last; ++c)
      bytes += array.decoded_bytes(c * size, std::min((c + 1) * size, of.last) - c * size);
    return bytes;
  };
  for (std::uint64_t part = 0; part < n_parts(); ++part) {
    list.clear();
    PENSTOCK_RETURN_IF_ERROR(requests(part, list));
    list.coalesce(kCoalesceGap, kCoalesceMax);
    pass_.stored += list.total_bytes();
    pass_.requests += list.requests().size();
    pass_.decoded += decoded(*parts_.data, elements_of(part)) + decoded(*parts_.indices, elements_of(part));
    part_stored_ = std::max(part_stored_, list.total_bytes());
  }
  return {};
}

std::uint64_t CscSource::entries_in(const ColumnMap& map) const {
  std::uint64_t entries = 0, begin = 0;
  for (ColIndex column = 0; column < parts_.n_cols; ++column) {
    std::uint64_t end = 0;
    offsets_.read(column + 1, {&end, 1});
    if (map[column] != ColumnMap::kDropped) entries += end - begin;
    begin = end;
  }
  return entries;
}

RowIndex CscSource::cut(RowIndex first, RowIndex target) const {
  return target < parts_.n_rows - first ? first + std::max<RowIndex>(target, 1) : parts_.n_rows;
}

std::uint64_t CscSource::most_entries(RowRange rows) const {
  std::uint64_t entries = 0;
  for (RowIndex row = rows.first; row < rows.last; ++row) entries += lengths_[row];
  return entries;
}

// --- passes ---

std::uint64_t CscSource::n_parts() const { return ceil_div(n_entries(), part_elements_); }

CscSource::Elements CscSource::elements_of(std::uint64_t part) const {
  const std::uint64_t first = part * part_elements_;
  return {first, std::min(first + part_elements_, n_entries())};
}

// The column that has the element: the last that begins at or before it.
ColIndex CscSource::column_of(std::uint64_t element) const {
  ColIndex low = 0, high = parts_.n_cols;
  while (high - low > 1) {
    const ColIndex middle = low + (high - low) / 2;
    std::uint64_t begin = 0;
    offsets_.read(middle, {&begin, 1});
    (begin <= element ? low : high) = middle;
  }
  return low;
}

Status CscSource::requests(std::uint64_t part, RequestList& list) const {
  const Elements of = elements_of(part);
  parts_.data->add_requests(of.first, of.size(), Heads::whole, list);
  parts_.indices->add_requests(of.first, of.size(), Heads::whole, list);
  return {};
}

// What lies in the scratch of a part.
struct CscSource::Parts {
  std::span<std::uint32_t> rows;
  std::span<std::byte> values;
  std::span<std::byte> indices;  // as stored
  std::span<std::byte> step;     // of the codecs
};

CscSource::Parts CscSource::parts(Carver& memory) const {
  Parts at;
  at.rows = memory.array<std::uint32_t>(part_elements_);
  at.values = memory.bytes(part_elements_ * parts_.data->dtype().size);
  at.indices = memory.bytes(part_elements_ * parts_.indices->dtype().size);
  at.step = memory.bytes(std::max(parts_.data->range_scratch_bytes(), parts_.indices->range_scratch_bytes()));
  return at;
}

ByteCount CscSource::part_scratch_bytes() const {
  Carver measured;
  parts(measured);
  return measured.used();
}

Status CscSource::decode(std::uint64_t part, const Fetched& fetched, std::span<std::byte> scratch,
                         CodecContext& codec) const {
  Carver memory(scratch.data());
  const Parts at = parts(memory);
  const Elements of = elements_of(part);
  const store::Array &data = *parts_.data, &indices = *parts_.indices;
  PENSTOCK_RETURN_IF_ERROR(indices.decode_range(of.first, of.size(), fetched, at.step, codec,
                                                at.indices.first(of.size() * indices.dtype().size)));
  const std::size_t good =
      take_rows(indices.dtype().number, at.indices.data(), of.size(), parts_.n_rows, at.rows.data());
  if (good < of.size()) return bad_row(of.first + good);
  return data.decode_range(of.first, of.size(), fetched, at.step, codec,
                           at.values.first(of.size() * data.dtype().size));
}

std::span<const std::byte> CscSource::values(std::uint64_t part, std::span<std::byte> scratch) const {
  Carver memory(scratch.data());
  return parts(memory).values.first(elements_of(part).size() * parts_.data->dtype().size);
}

Status CscSource::place(std::uint64_t part, std::span<std::byte> scratch, const TurnedRows& rows) const {
  Carver memory(scratch.data());
  const Parts at = parts(memory);
  const Elements of = elements_of(part);
  const std::size_t item = parts_.data->dtype().size;
  const PlaceColumn place = numeric_size(traits_.index_type) == 2 ? place_column_of<std::uint16_t>(item)
                                                                  : place_column_of<std::uint32_t>(item);
  // Ends of the columns at hand, 128 of them at a time: a call for each column could cost more than placing
  // the few entries that it has.
  std::array<std::uint64_t, 128> ends;
  ColIndex column = column_of(of.first);
  for (std::uint64_t begin = of.first; begin < of.last;) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(ends.size(), parts_.n_cols - column));
    offsets_.read(column + 1, {ends.data(), n});
    for (std::size_t i = 0; i < n && begin < of.last; ++i, ++column) {
      const std::uint64_t end = std::min(ends[i], of.last);
      // An empty column.
      if (end <= begin) continue;
      if (!place(at.rows.data() + (begin - of.first), at.values.data() + (begin - of.first) * item,
                 end - begin, column, rows)) {
        // Lengths were counted from these same row numbers when the file was opened.
        return Status::io_error(parts_.indices->where() + ": changed since the file was opened");
      }
      begin = end;
    }
  }
  return {};
}

// --- rows ---

// What turning a row by itself takes: room for the longest one, and what a pass needs.
struct CscSource::OneRow {
  std::span<std::uint32_t> next;
  std::span<std::byte> ids, values;
  std::span<std::byte> pass;
};

CscSource::OneRow CscSource::one_row(Carver& memory) const {
  const std::uint64_t longest = std::max<std::uint64_t>(1, traits_.lengths.longest);
  OneRow at;
  at.next = memory.array<std::uint32_t>(1);
  at.ids = memory.bytes(longest * numeric_size(traits_.index_type));
  at.values = memory.bytes(longest * numeric_size(traits_.value_type));
  at.pass = memory.bytes(ColumnPass::bytes_needed(*this));
  return at;
}

ByteCount CscSource::scratch_bytes(RowIndex) const {
  Carver measured;
  one_row(measured);
  return measured.used();
}

Status CscSource::decode(std::span<const RowRange> wanted, const Fetched&, Scratch& scratch,
                         RowSink& sink) const {
  if (scratch.turned != nullptr) return hand_out(wanted, *scratch.turned, sink);
  PENSTOCK_RETURN_IF_ERROR(check_scratch(*this, scratch, scratch_bytes(1)));
  scratch.head_too_short = false;
  Carver memory(scratch.bytes.data());
  const OneRow at = one_row(memory);
  // Each row costs a pass over all of the matrix. That is for who reads a row or two; the loader turns as
  // many rows together as its budget holds, and comes with Scratch::turned.
  RequestList list;
  for (const RowRange& range : wanted) {
    for (RowIndex row = range.first; row < range.last; ++row) {
      const RowRange one{row, row + 1};
      TurnedRows turned(one, at.next.data(), at.ids.data(), at.values.data(), traits_.lengths.longest);
      turned.want(one);
      turned.lay_out(lengths_);
      ColumnPass pass(*this, turned);
      pass.work(at.pass, list, *scratch.codec);
      PENSTOCK_RETURN_IF_ERROR(pass.finish().with_context(parts_.label));
      scratch.bytes_read += pass.counts().bytes;
      scratch.reads += pass.counts().requests;
      scratch.codec->count(pass.counts().decoded);
      PENSTOCK_RETURN_IF_ERROR(hand_out({&one, 1}, turned, sink));
    }
  }
  return {};
}

Status CscSource::hand_out(std::span<const RowRange> wanted, const TurnedRows& turned, RowSink& sink) const {
  std::array<std::uint64_t, kTileRows> begins, ends;
  CsrTile tile;
  tile.begins = begins.data();
  tile.ends = ends.data();
  tile.indices = turned.ids();
  tile.values = turned.values();
  tile.index_type = traits_.index_type;
  tile.value_type = traits_.value_type;
  for (const RowRange& range : wanted) {
    for (RowIndex first = range.first; first < range.last; first = tile.rows.last) {
      tile.rows = {first, std::min(range.last, first + kTileRows)};
      for (RowIndex row = first; row < tile.rows.last; ++row) {
        const std::uint32_t end = turned.next()[row - turned.rows().first];
        if (end == TurnedRows::kNotWanted) {
          return Status::internal(fmt::format("{}: row {} was not turned", parts_.label, row));
        }
        ends[row - first] = end;
        // Places go up by one with each entry, so next() is now where the row ends.
        begins[row - first] = end - lengths_[row];
      }
      PENSTOCK_RETURN_IF_ERROR(sink.csr(tile));
    }
  }
  return {};
}

}  // namespace penstock::anndata
