// How a band becomes rows. A matrix of 5 columns in chunks of 2 rows x 3 columns has two chunks in each band,
// and the second has a column of padding: chunks are stored in full size, whatever lies outside of the
// matrix.
//
//     r0   [ 1  0  2 ][ 0  3  . ]        in the scratch    1 0 2  0 0 4 | 0 3 .  5 0 .
//     r1   [ 0  0  4 ][ 5  0  . ]                          segment 0    | segment 1
//
// A segment is what one chunk has of the rows that are put together. A row is gathered from the same slot of
// each segment: r0 becomes columns 0 2 4 with values 1 2 3, and r1 columns 2 3 with values 4 5. Ids and
// values of some hundred rows make a tile for the sink.
//
// On disk: a dataset of two dimensions in C order, encoding-type "array" or none (formats.md, 2.1, 2.2).
#include "anndata/dense_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "source/column_map.h"

namespace penstock::anndata {
namespace {

// Rows of an array in one piece that are copied at once: what is handed out is still in the cache.
constexpr ByteCount kPieceBytes = 256 << 10;
// A tile is at least one row; more while it is short.
constexpr RowIndex kTileRows = 256;
constexpr std::uint64_t kTileEntries = 8192;

NumericType id_type(ColIndex n_cols) { return n_cols <= 65536 ? NumericType::u16 : NumericType::u32; }

// Appends those of n values that are not zero, with their columns; how many. The arrays have room for n more.
// Without a branch: what is next is written over what was not kept. Of 7 0 9 the 7 is kept, the 0 is written
// behind it, and then the 9 where the 0 is.
//
// A float is zero whatever its sign, as it is to scipy: only its other bits count.
template <class Id, class Bits, bool kFloat>
std::uint64_t keep_nonzero(const std::byte* from, std::uint64_t n, ColIndex first, std::byte* ids,
                           std::byte* values, std::uint64_t at) {
  const auto* in = reinterpret_cast<const Bits*>(from);
  auto* out_ids = reinterpret_cast<Id*>(ids) + at;
  auto* out = reinterpret_cast<Bits*>(values) + at;
  constexpr Bits kSize = static_cast<Bits>(kFloat ? std::numeric_limits<Bits>::max() >> 1 : ~Bits{0});
  std::uint64_t kept = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    out_ids[kept] = static_cast<Id>(first + i);
    out[kept] = in[i];
    kept += (in[i] & kSize) != 0 ? 1 : 0;
  }
  return kept;
}

using KeepNonzero = std::uint64_t (*)(const std::byte*, std::uint64_t, ColIndex, std::byte*, std::byte*,
                                      std::uint64_t);

template <class Id, bool kFloat>
KeepNonzero keep_nonzero_of(std::size_t item) {
  switch (item) {
    case 1:
      return keep_nonzero<Id, std::uint8_t, kFloat>;
    case 2:
      return keep_nonzero<Id, std::uint16_t, kFloat>;
    case 4:
      return keep_nonzero<Id, std::uint32_t, kFloat>;
    default:
      return keep_nonzero<Id, std::uint64_t, kFloat>;
  }
}

template <class Id>
KeepNonzero keep_nonzero_of(NumericType type) {
  return is_floating(type) ? keep_nonzero_of<Id, true>(numeric_size(type))
                           : keep_nonzero_of<Id, false>(numeric_size(type));
}

}  // namespace

bool DenseSource::reads(const store::Array& values) {
  const store::TypeClass cls = values.dtype().cls;
  return values.shape().size() == 2 && (cls == store::TypeClass::number || cls == store::TypeClass::boolean);
}

Result<std::shared_ptr<const DenseSource>> DenseSource::open(std::shared_ptr<const store::Array> values,
                                                             std::string label, MemoryBudget& index_budget) {
  if (!reads(*values)) {
    return Status::unsupported(fmt::format("{}: {} dimensions of type {}, expected rows x columns of numbers",
                                           values->where(), values->shape().size(),
                                           values->dtype().description));
  }
  // Rows and columns are held in 32 bits, of which the last value means that there is none.
  const std::uint64_t rows = values->shape()[0], cols = values->shape()[1];
  if (rows >= 0xffffffffu || cols >= 0xffffffffu) {
    return Status::unsupported(fmt::format(
        "{}: {} x {} values; fewer than 2^32 - 1 rows and as many columns are read", label, rows, cols));
  }
  std::shared_ptr<DenseSource> out(new DenseSource(std::move(values), std::move(label)));
  out->take_grid();
  out->fill_traits();
  // A list of its own, and one of a twin that reads fewer columns.
  const ByteCount lists = 2 * out->n_across_ * sizeof(std::uint32_t);
  PENSTOCK_ASSIGN_OR_RETURN(
      auto held, reserve_for(out->label_, index_budget, MemoryTag::index, std::max<ByteCount>(1, lists)));
  out->held_ = std::make_shared<const Reservation>(std::move(held));
  out->read_all_columns();
  return std::shared_ptr<const DenseSource>(std::move(out));
}

// An array in one piece is treated as one chunk of the size of the matrix, so that it has a band like any
// other. Sizes are at least 1, since they are divided by.
void DenseSource::take_grid() {
  const store::Array& a = *values_;
  const RowIndex rows = a.shape()[0];
  const ColIndex cols = a.shape()[1];
  item_ = a.dtype().size;
  chunked_ = a.is_chunked();
  chunk_rows_ = chunked_ ? a.chunk_shape()[0] : std::max<RowIndex>(rows, 1);
  chunk_cols_ = chunked_ ? a.chunk_shape()[1] : std::max<ColIndex>(cols, 1);
  n_across_ = ceil_div(cols, chunk_cols_);
}

void DenseSource::read_all_columns() {
  read_.resize(n_across_);
  std::iota(read_.begin(), read_.end(), 0U);
  traits_.chunks_across = n_across_;
}

void DenseSource::fill_traits() {
  const store::Array& a = *values_;
  SourceTraits& t = traits_;
  t.n_rows = a.shape()[0];
  t.n_cols = a.shape()[1];
  t.value_type = a.dtype().number;
  t.index_type = id_type(t.n_cols);
  t.lengths_are_bounds = true;
  // As if each row had all columns. add() enters the longest one; the rest is what adding all rows would come
  // to, without a call for each of them.
  if (t.n_rows > 0) t.lengths.add(t.n_cols);
  t.lengths.rows = t.n_rows;
  t.lengths.entries = a.size();
  t.lengths.entries_squared = static_cast<double>(a.size()) * static_cast<double>(t.n_cols);
  t.lengths.histogram[static_cast<std::size_t>(RowLengths::bucket_of(t.n_cols))] = t.n_rows;
  t.layout = fmt::format("dense {}, ", a.dtype().description);
  t.layout += chunked_ ? fmt::format("chunks of {} x {}, {}", format_count(chunk_rows_),
                                     format_count(chunk_cols_), a.filters().describe())
                       : std::string("contiguous");
  t.stored_bytes = a.stored_bytes();
  // A block is made of bands, and reads all of their chunks, never a head.
  t.n_chunks = chunked_ ? ceil_div(t.n_rows, chunk_rows_) : 0;
  t.rows_cross_chunks = false;
}

RowRange DenseSource::rows_of(std::uint64_t band) const {
  return {band * chunk_rows_, std::min(traits_.n_rows, (band + 1) * chunk_rows_)};
}

// On the edge of a band, so that no chunk is read for two blocks. In bands of 1,000 rows a block from row 0
// of about 2,400 rows ends at 2,000, and one of about 300 rows at 1,000, because a block has to have rows.
RowIndex DenseSource::cut(RowIndex first, RowIndex target) const {
  const RowIndex n = traits_.n_rows;
  if (target >= n - first) return n;
  const RowIndex at = first + std::max<RowIndex>(target, 1);
  if (!chunked_) return at;
  const RowIndex before = at / chunk_rows_ * chunk_rows_, behind = std::min(n, before + chunk_rows_);
  return before > first && at - before <= behind - at ? before : behind;
}

// Rows 0 to 1,499 and 1,800 to 1,899 in bands of 1,000: f(0, the first range), f(1, both). A range that goes
// on behind a band comes again with the next one, and f takes of it what lies in the band.
template <class F>
Status DenseSource::for_each_band(std::span<const RowRange> wanted, F&& f) const {
  RowIndex at = 0;  // rows before it are done
  for (std::size_t i = 0; i < wanted.size();) {
    const std::uint64_t band = std::max(at, wanted[i].first) / chunk_rows_;
    const RowIndex end = rows_of(band).last;
    std::size_t j = i + 1;
    while (j < wanted.size() && wanted[j].first < end) ++j;
    PENSTOCK_RETURN_IF_ERROR(f(band, wanted.subspan(i, j - i)));
    at = end;
    i = wanted[j - 1].last > end ? j - 1 : j;
  }
  return {};
}

Status DenseSource::requests(std::span<const RowRange> wanted, Heads, RequestList& list) const {
  const store::Array& a = *values_;
  if (traits_.n_cols == 0) return {};
  if (!chunked_) {
    for (const RowRange& range : wanted) {
      a.add_requests(range.first * traits_.n_cols, range.size() * traits_.n_cols, Heads::whole, list);
    }
    return {};
  }
  return for_each_band(wanted, [&](std::uint64_t band, std::span<const RowRange>) {
    for (const std::uint32_t across : read_) {
      // Of an array that is chunked in two dimensions add_requests() takes elements as they are stored, chunk
      // after chunk with their padding, so chunk k begins with element k * chunk_elements().
      a.add_requests(chunk_number(band, across) * a.chunk_elements(), a.chunk_elements(), Heads::whole, list);
    }
    return Status();
  });
}

ReadCost DenseSource::cost(std::span<const RowRange> wanted) const {
  const store::Array& a = *values_;
  ReadCost cost;
  RequestList list;
  if (!requests(wanted, Heads::estimated, list).ok()) return cost;
  list.coalesce(kCoalesceGap, kCoalesceMax);
  cost.stored = list.total_bytes();
  cost.requests = list.requests().size();
  RowIndex total = 0;
  for (const RowRange& range : wanted) total += range.size();
  if (!chunked_) {
    cost.decoded = traits_.n_cols == 0 ? 0 : a.decoded_bytes(0, total * traits_.n_cols);
    return cost;
  }
  const RowIndex at_once = rows_at_once(total);
  // Nothing fails here.
  static_cast<void>(for_each_band(wanted, [&](std::uint64_t band, std::span<const RowRange> ranges) {
    const RowRange rows = rows_of(band);
    RowIndex n = 0;
    for (const RowRange& range : ranges)
      n += std::min(range.last, rows.last) - std::max(range.first, rows.first);
    // Where a band is put together in several goes, its chunks are decoded for each.
    const std::uint64_t times = at_once >= chunk_rows_ ? 1 : ceil_div(n, at_once);
    for (const std::uint32_t across : read_) {
      cost.decoded +=
          times * a.decoded_bytes(chunk_number(band, across) * a.chunk_elements(), a.chunk_elements());
    }
    return Status();
  }));
  return cost;
}

// What lies in a scratch.
struct DenseSource::Parts {
  std::span<std::byte> rows;   // chunk after chunk of those that stand side by side, in each row after row
  std::span<std::byte> chunk;  // decoded, where only some of its rows are taken
  std::span<std::byte> step;   // of the codecs
  std::span<std::byte> ids, values;       // a tile
  std::span<std::uint64_t> begins, ends;  // of its rows
};

// `rows`: how many are put together at once. If that is all of a band, chunks are decoded to where their rows
// lie, and `chunk` is not needed. An array in one piece needs no codec: its rows are copied out of what was
// fetched.
DenseSource::Parts DenseSource::parts(Carver& memory, RowIndex rows) const {
  const std::uint64_t entries = std::max(traits_.n_cols, kTileEntries);
  Parts at;
  at.rows = memory.bytes(rows * row_bytes());
  at.chunk = memory.bytes(chunked_ && rows < chunk_rows_ ? values_->chunk_bytes() : 0);
  at.step = memory.bytes(chunked_ ? values_->step_bytes() : 0);
  at.ids = memory.bytes(entries * numeric_size(traits_.index_type));
  at.values = memory.bytes(entries * item_);
  at.begins = memory.array<std::uint64_t>(kTileRows);
  at.ends = memory.array<std::uint64_t>(kTileRows);
  return at;
}

ByteCount DenseSource::bytes_for(RowIndex rows) const {
  // More than a budget can have: rows and row_bytes() are from the file.
  constexpr ByteCount kNever = ByteCount{1} << 62;
  if (const auto bytes = checked_mul(rows, row_bytes()); !bytes || *bytes > kNever) return kNever;
  Carver measured;
  parts(measured, rows);
  return measured.used();
}

// Chunks of 1,000 rows x 2,000 columns of a float32 matrix with 20,000 columns make bands of 80 MB, more than
// kMostAtOnce. So 838 rows are put together at once, and each chunk is decoded twice.
RowIndex DenseSource::rows_at_once(RowIndex max_rows) const {
  const ByteCount most = chunked_ ? kMostAtOnce : kPieceBytes;
  // One row has to fit, however long it is.
  const RowIndex fit = std::max<RowIndex>(1, most / std::max<ByteCount>(1, row_bytes()));
  // A whole band, though the matrix may end before it does.
  if (chunked_ && chunk_rows_ <= fit && max_rows >= std::min(chunk_rows_, traits_.n_rows)) return chunk_rows_;
  return std::clamp<RowIndex>(std::min(max_rows, fit), 1, chunk_rows_);
}

// How many rows a scratch holds; 0 where it is too small for one. All of a band is asked for first, because
// it needs no memory for a chunk that is decoded aside: it may fit where a row less would not.
RowIndex DenseSource::rows_that_fit(ByteCount scratch) const {
  if (bytes_for(chunk_rows_) <= scratch) return chunk_rows_;
  const ByteCount others = bytes_for(0);
  if (scratch < others) return 0;
  // Parts are aligned, so what lies behind a piece that is not full cannot be used.
  const ByteCount room = (scratch - others) / Carver::kAlign * Carver::kAlign;
  return std::min(room / std::max<ByteCount>(1, row_bytes()), chunk_rows_ - 1);
}

ByteCount DenseSource::scratch_bytes(RowIndex max_rows) const {
  const RowIndex rows = rows_at_once(max_rows);
  return std::max(bytes_for(rows), least_scratch_bytes(max_rows));
}

ByteCount DenseSource::least_scratch_bytes(RowIndex) const { return bytes_for(1); }

// Decodes bands and hands out their rows.
class DenseSource::Decoder {
 public:
  Decoder(const DenseSource& source, RowIndex at_once, const Fetched& fetched, Scratch& scratch,
          RowSink& sink)
      : s_(source),
        at_once_(at_once),
        whole_(source.chunked_ && at_once >= source.chunk_rows_),
        fetched_(fetched),
        scratch_(scratch),
        sink_(sink) {
    Carver memory(scratch.bytes.data());
    at_ = s_.parts(memory, at_once);
    keep_ = numeric_size(s_.traits_.index_type) == 2 ? keep_nonzero_of<std::uint16_t>(s_.traits_.value_type)
                                                     : keep_nonzero_of<std::uint32_t>(s_.traits_.value_type);
  }

  // All rows of `ranges` that lie in the band, as many at a time as the scratch holds.
  Status band(std::uint64_t band, std::span<const RowRange> ranges) {
    band_ = band;
    rows_ = s_.rows_of(band);
    ranges_ = ranges;
    for (Place from{0, std::max(rows_.first, ranges.front().first)}; from.range < ranges.size();) {
      PENSTOCK_RETURN_IF_ERROR(load(from));
      PENSTOCK_RETURN_IF_ERROR(
          walk(&from, [&](RowRange rows, RowIndex slot) { return hand_out(rows, slot); }));
    }
    return {};
  }

 private:
  // The next wanted row of the band: a range, and a row in it.
  struct Place {
    std::size_t range = 0;
    RowIndex row = 0;
  };

  // f(rows, slot): the runs of the next wanted rows that are put together at once, and where the first row of
  // each lies. Moves `place` behind them.
  template <class F>
  Status walk(Place* place, F&& f) const {
    RowIndex n = 0;
    while (place->range < ranges_.size() && (whole_ || n < at_once_)) {
      const RowIndex end = std::min(ranges_[place->range].last, rows_.last);
      const RowIndex last = whole_ ? end : std::min(end, place->row + (at_once_ - n));
      if (place->row < last) {
        PENSTOCK_RETURN_IF_ERROR(f(RowRange{place->row, last}, whole_ ? place->row - rows_.first : n));
        n += last - place->row;
      }
      place->row = last;
      if (last < end) continue;
      ++place->range;
      if (place->range < ranges_.size()) place->row = ranges_[place->range].first;
    }
    return {};
  }

  // Puts the next wanted rows together. Where that is all of a band, each chunk is decoded in place; else it
  // is decoded aside, and of each run of wanted rows the part that lies in it is copied.
  Status load(Place from) {
    if (!s_.chunked_) return load_rows(from);
    const store::Array& a = *s_.values_;
    for (std::size_t i = 0; i < s_.read_.size(); ++i) {
      std::byte* const target = segment(i);
      const auto out = whole_ ? std::span(target, a.chunk_bytes()) : at_.chunk;
      PENSTOCK_RETURN_IF_ERROR(a.decode_chunk(s_.chunk_number(band_, s_.read_[i]), fetched_, out, at_.step,
                                              *scratch_.codec, nullptr));
      if (whole_) continue;
      const ByteCount row = s_.chunk_cols_ * s_.item_;
      Place place = from;
      PENSTOCK_RETURN_IF_ERROR(walk(&place, [&](RowRange rows, RowIndex slot) {
        std::memcpy(target + slot * row, out.data() + (rows.first - rows_.first) * row, rows.size() * row);
        return Status();
      }));
    }
    return {};
  }

  Status load_rows(Place from) {
    const ColIndex cols = s_.traits_.n_cols;
    return walk(&from, [&](RowRange rows, RowIndex slot) {
      return s_.values_->decode_range(rows.first * cols, rows.size() * cols, fetched_, {}, *scratch_.codec,
                                      at_.rows.subspan(slot * s_.row_bytes(), rows.size() * cols * s_.item_));
    });
  }

  // Where the rows of the i-th of the chunks begin that stand side by side.
  std::byte* segment(std::size_t i) const {
    return at_.rows.data() + i * at_once_ * s_.chunk_cols_ * s_.item_;
  }

  // Consecutive rows, of which the first lies in `slot`.
  Status hand_out(RowRange rows, RowIndex slot) {
    const ColIndex cols = s_.traits_.n_cols;
    const std::uint64_t capacity = std::max(cols, kTileEntries);
    std::uint64_t filled = 0;
    RowIndex first = rows.first;
    for (RowIndex row = rows.first; row < rows.last; ++row, ++slot) {
      // keep_nonzero() may write a whole row before it has found out how much of it stays.
      if (filled + cols > capacity || row - first == kTileRows) {
        PENSTOCK_RETURN_IF_ERROR(tile({first, row}));
        first = row;
        filled = 0;
      }
      at_.begins[row - first] = filled;
      const std::uint64_t begin = filled;
      for (std::size_t i = 0; i < s_.read_.size(); ++i) {
        const ColIndex column = s_.read_[i] * s_.chunk_cols_;
        filled +=
            keep_(segment(i) + slot * s_.chunk_cols_ * s_.item_, std::min(s_.chunk_cols_, cols - column),
                  column, at_.ids.data(), at_.values.data(), filled);
      }
      at_.ends[row - first] = filled;
      // Columns whose chunks are not read count too.
      scratch_.zeros += cols - (filled - begin);
    }
    return tile({first, rows.last});
  }

  Status tile(RowRange rows) {
    CsrTile tile;
    tile.rows = rows;
    tile.begins = at_.begins.data();
    tile.ends = at_.ends.data();
    tile.indices = at_.ids.data();
    tile.values = at_.values.data();
    tile.index_type = s_.traits_.index_type;
    tile.value_type = s_.traits_.value_type;
    return sink_.csr(tile);
  }

  const DenseSource& s_;
  const RowIndex at_once_;
  const bool whole_;  // all rows of a band at once, each in its place
  const Fetched& fetched_;
  Scratch& scratch_;
  RowSink& sink_;
  Parts at_;
  KeepNonzero keep_ = nullptr;
  std::uint64_t band_ = 0;
  RowRange rows_;                     // of the band
  std::span<const RowRange> ranges_;  // those that touch it
};

Status DenseSource::decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                           RowSink& sink) const {
  if (wanted.empty()) return {};
  PENSTOCK_RETURN_IF_ERROR(check_scratch(*this, scratch, least_scratch_bytes(1)));
  scratch.head_too_short = false;
  RowIndex at_once = rows_that_fit(scratch.bytes.size());
  // The scratch may hold far more rows of an array in one piece than the cache does.
  if (!chunked_) at_once = std::min(at_once, rows_at_once(kTileRows));
  Decoder decoder(*this, at_once, fetched, scratch, sink);
  return for_each_band(wanted, [&](std::uint64_t band, std::span<const RowRange> ranges) {
    return decoder.band(band, ranges);
  });
}

std::shared_ptr<const RowSource> DenseSource::only_columns(const ColumnMap& map) const {
  if (!chunked_) return nullptr;
  std::shared_ptr<DenseSource> out(new DenseSource(values_, label_));
  out->take_grid();
  out->traits_ = traits_;
  // open() has reserved for a second list.
  out->held_ = held_;
  out->read_all_columns();
  // A chunk is left out when nobody wants any of its columns.
  std::erase_if(out->read_, [&](std::uint32_t across) {
    const ColIndex first = across * chunk_cols_, last = std::min(traits_.n_cols, first + chunk_cols_);
    for (ColIndex c = first; c < last; ++c) {
      if (map[c] != ColumnMap::kDropped) return false;
    }
    return true;
  });
  out->traits_.chunks_across = out->read_.size();
  return out->read_.size() == n_across_ ? nullptr : out;
}

}  // namespace penstock::anndata
