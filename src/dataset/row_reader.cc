// Some rows as a CSR matrix in memory: ds[...] in Python, and the plain way that tests compare batches with.
// The way through the source is that of an epoch (requests, coalesce, decode), one file and up to 512 rows
// after the other, on the calling thread.
//
// Positions may repeat and come in any order. They are read once, ascending, since that is how sources give
// rows, and arranged afterwards:
//
//     asked for    7 2 7         read    2 7         arranged    places 1 0 1
#include "dataset/row_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/checked.h"
#include "dataset/selection.h"
#include "memory/reserved_buffer.h"
#include "source/column_pass.h"
#include "source/numbers.h"
#include "source/read_requests.h"

namespace penstock::internal {

namespace {

// a + b in the stored type; integers wrap, as numpy's do.
// float16 and bfloat16 are added as floats and rounded after each step, as numpy does.
void add_value(NumericType type, const std::byte* value, std::byte* sum) {
  const auto add = [&]<class T>(T) {
    const T total = static_cast<T>(load<T>(sum, 0) + load<T>(value, 0));
    std::memcpy(sum, &total, sizeof(T));
  };
  switch (type) {
    case NumericType::f64:
      return add(double{});
    case NumericType::f32:
      return add(float{});
    case NumericType::f16:
    case NumericType::bf16: {
      const bool half = type == NumericType::f16;
      const auto widen = half ? half_to_float : bfloat_to_float;
      const float total = widen(load<std::uint16_t>(sum, 0)) + widen(load<std::uint16_t>(value, 0));
      const std::uint16_t narrow = half ? float_to_half(total) : float_to_bfloat(total);
      std::memcpy(sum, &narrow, sizeof(narrow));
      return;
    }
    default:
      // Unsigned arithmetic of the same width is the two's complement sum without overflow.
      with_integer(type, [&]<class T>() { add(std::make_unsigned_t<T>{}); });
  }
}

// Rows of one source, ascending, into the tail of a matrix of its value type.
class Collector final : public RowSink {
 public:
  Collector(const RowSource& source, std::uint64_t n_cols, NumericType out_type, CsrMatrix& out)
      : source_(source), n_cols_(n_cols), out_type_(out_type), out_(out) {}

  Status csr(const CsrTile& tile) override {
    for (std::size_t r = 0; r < tile.rows.size(); ++r) {
      PENSTOCK_RETURN_IF_ERROR(add_row(tile, r));
    }
    return {};
  }

 private:
  // Files may have columns in any order and a column twice. Sorted by column, stably, the values of one come
  // one behind the other as they do in the file, and are summed in that order and in the file's type.
  Status add_row(const CsrTile& tile, std::size_t r) {
    const std::uint64_t begin = tile.begins[r], n = tile.ends[r] - begin;
    // A row's columns as int64, of whatever type the tile has them. What the file says is checked here,
    // because sources hand out columns as stored.
    ids_.resize(n);
    to_int64(tile.index_type, tile.indices + begin * numeric_size(tile.index_type), ids_);
    for (std::size_t i = 0; i < n; ++i) {
      if (ids_[i] >= 0 && static_cast<std::uint64_t>(ids_[i]) < n_cols_) continue;
      return Status::corrupt(fmt::format("{}: row {}, element {}: column {} of a matrix of {}",
                                         source_.label(), tile.rows.first + r, tile.first_element + begin + i,
                                         ids_[i], n_cols_));
    }
    order_.resize(n);
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::stable_sort(order_.begin(), order_.end(),
                     [&](std::size_t a, std::size_t b) { return ids_[a] < ids_[b]; });

    const NumericType type = source_.traits().value_type;
    const std::size_t item = numeric_size(type);
    // A tile may be narrower than the file (bytes for float32 counts). Sums are made in the file's type, so
    // that they come out as scipy's.
    const std::byte* values = tile.values + begin * numeric_size(tile.value_type);
    if (tile.value_type != type) values = widen(tile.value_type, values, n, type);
    sums_.clear();
    const std::size_t row_start = out_.indices.size();
    for (const std::size_t i : order_) {
      // The same column again.
      if (out_.indices.size() > row_start && out_.indices.back() == ids_[i]) {
        add_value(type, values + i * item, sums_.data() + sums_.size() - item);
        continue;
      }
      out_.indices.push_back(ids_[i]);
      sums_.insert(sums_.end(), values + i * item, values + (i + 1) * item);
    }
    append_values(type, out_.indices.size() - row_start);
    out_.indptr.push_back(static_cast<std::int64_t>(out_.indices.size()));
    return {};
  }

  // Small whole numbers of a source's narrow type, in the file's own.
  const std::byte* widen(NumericType from, const std::byte* values, std::size_t n, NumericType to) {
    numbers_.resize(n);
    to_double(from, values, numbers_);
    widened_.resize(n * numeric_size(to));
    const auto store = [&]<class T>(T) {
      for (std::size_t i = 0; i < n; ++i) {
        const T value = static_cast<T>(numbers_[i]);
        std::memcpy(widened_.data() + i * sizeof(T), &value, sizeof(T));
      }
    };
    if (to == NumericType::f32) {
      store(float{});
    } else if (to == NumericType::f64) {
      store(double{});
    } else {
      with_integer(to, [&]<class T>() { store(T{}); });
    }
    return widened_.data();
  }

  void append_values(NumericType type, std::size_t n) {
    const std::size_t at = out_.values.size();
    out_.values.resize(at + n * numeric_size(out_type_));
    if (n == 0) return;
    if (type == out_type_) {
      std::memcpy(out_.values.data() + at, sums_.data(), sums_.size());
      return;
    }
    numbers_.resize(n);
    to_double(type, sums_.data(), numbers_);
    std::memcpy(out_.values.data() + at, numbers_.data(), n * sizeof(double));
  }

  const RowSource& source_;
  const std::uint64_t n_cols_;
  const NumericType out_type_;
  CsrMatrix& out_;
  std::vector<std::int64_t> ids_;
  std::vector<std::size_t> order_;
  std::vector<std::byte> sums_, widened_;
  std::vector<double> numbers_;
};

// All selected rows of a file that is stored by columns, turned as many at a time as an eighth of what is free
// of the budget holds, but one in any case: a pass for each time.
Status collect_by_columns(const FilePart& part, RowSink& sink, MemoryBudget& budget) {
  const RowSource& source = *part.source;
  const ColumnMajor& columns = *source.by_columns();
  const auto lengths = columns.row_lengths();
  const auto usage = budget.usage();
  // No more than TurnedRows counts: an entry takes 3 bytes or more.
  const ByteCount room = std::min<ByteCount>((usage.limit - std::min(usage.limit, usage.used)) / 8,
                                             3 * TurnedRows::kMostEntries);
  ReservedBuffer table(source.label(), &budget, MemoryTag::scratch);
  ReservedBuffer pass_memory(source.label(), &budget, MemoryTag::scratch);
  ReservedBuffer turned_memory(source.label(), &budget, MemoryTag::scratch);
  ReservedBuffer scratch(source.label(), &budget, MemoryTag::scratch);
  const RowRange all{0, source.traits().n_rows};
  PENSTOCK_RETURN_IF_ERROR(table.grow_to(all.size() * sizeof(std::uint32_t)));
  PENSTOCK_RETURN_IF_ERROR(pass_memory.grow_to(ColumnPass::bytes_needed(columns)));
  PENSTOCK_RETURN_IF_ERROR(scratch.grow_to(source.scratch_bytes(1)));
  auto* const next = reinterpret_cast<std::uint32_t*>(table.bytes().data());
  CodecContext codec;
  RequestList list;
  std::vector<RowRange> wanted;
  RowCursor cursor(part);
  std::optional<RowIndex> kept;  // taken from the cursor, for the next time
  for (std::uint64_t done = 0; done < part.n_selected;) {
    wanted.clear();
    TurnedRows rows(all, next, nullptr, nullptr, 0);
    rows.clear();
    for (ByteCount bytes = 0; done < part.n_selected; ++done) {
      const RowIndex row = kept ? *std::exchange(kept, std::nullopt) : cursor.next();
      bytes += lengths[row] * columns.entry_bytes();
      if (bytes > room && !wanted.empty()) {
        kept = row;
        break;
      }
      rows.want({row, row + 1});
      wanted.push_back({row, row + 1});
    }
    const std::uint64_t entries = rows.lay_out(lengths);
    const ByteCount ids = round_up(entries * numeric_size(columns.turned_id_type()), 64);
    PENSTOCK_RETURN_IF_ERROR(turned_memory.grow_to(
        ids + std::max<ByteCount>(64, entries * numeric_size(columns.turned_value_type()))));
    std::byte* const memory = turned_memory.bytes().data();
    rows = TurnedRows(all, next, memory, memory + ids, entries);
    ColumnPass pass(columns, rows);
    pass.work(pass_memory.bytes(), list, codec);
    Status status = pass.finish();
    if (!status.ok()) return std::move(status).with_context(source.label());
    Scratch from{scratch.bytes(), &codec};
    from.turned = &rows;
    PENSTOCK_RETURN_IF_ERROR(source.decode(wanted, Fetched({}, nullptr), from, sink));
  }
  return {};
}

// All selected rows of one file, a block at a time.
// Neighbouring rows are wanted as one range, and their bytes read together. Heads are read whole: a second
// read for a head that was estimated too short is not worth its code here.
Status collect(FilePart part, RowSink& sink, MemoryBudget& budget) {
  constexpr std::uint64_t kRowsAtOnce = 512;
  // Totals of rows are for normalising in batches; a source that reads dropped columns for them need not.
  if (auto narrow = part.source->without_totals()) part.source = std::move(narrow);
  if (part.source->by_columns() != nullptr) return collect_by_columns(part, sink, budget);
  ReservedBuffer stored(part.source->label(), &budget, MemoryTag::fetch);
  ReservedBuffer scratch(part.source->label(), &budget, MemoryTag::scratch);
  PENSTOCK_RETURN_IF_ERROR(scratch.grow_to(part.source->scratch_bytes(kRowsAtOnce)));
  CodecContext codec;
  RequestList list;
  std::vector<RowRange> wanted;
  RowCursor cursor(part);
  for (std::uint64_t done = 0; done < part.n_selected;) {
    const std::uint64_t n = std::min(kRowsAtOnce, part.n_selected - done);
    cursor.next(n, wanted);
    done += n;
    list.clear();
    PENSTOCK_RETURN_IF_ERROR(part.source->requests(wanted, Heads::whole, list));
    list.coalesce(kCoalesceGap, kCoalesceMax);
    PENSTOCK_ASSIGN_OR_RETURN(const Fetched fetched, read_requests(list, stored));
    Scratch room{scratch.bytes(), &codec};
    PENSTOCK_RETURN_IF_ERROR(part.source->decode(wanted, fetched, room, sink));
  }
  return {};
}

// Rows of `unique` (by place in it) in the order asked for.
// Rows are copied, also those that come once: the matrix is small, as somebody wants to look at it.
CsrMatrix arrange(const CsrMatrix& unique, std::span<const std::size_t> places, std::size_t item) {
  CsrMatrix out;
  out.indptr.push_back(0);
  for (const std::size_t place : places) {
    const auto begin = static_cast<std::ptrdiff_t>(unique.indptr[place]);
    const auto end = static_cast<std::ptrdiff_t>(unique.indptr[place + 1]);
    const auto width = static_cast<std::ptrdiff_t>(item);
    out.indices.insert(out.indices.end(), unique.indices.begin() + begin, unique.indices.begin() + end);
    out.values.insert(out.values.end(), unique.values.begin() + begin * width,
                      unique.values.begin() + end * width);
    out.indptr.push_back(static_cast<std::int64_t>(out.indices.size()));
  }
  return out;
}

}  // namespace

Result<CsrMatrix> read_rows(std::span<const FilePart> parts, std::uint64_t n_cols,
                            std::span<const std::int64_t> positions, MemoryBudget& budget) {
  try {
    std::vector<std::int64_t> unique(positions.begin(), positions.end());
    std::sort(unique.begin(), unique.end());
    unique.erase(std::unique(unique.begin(), unique.end()), unique.end());
    PENSTOCK_ASSIGN_OR_RETURN(const Parts chosen, select_positions(parts, unique, budget));

    // One type for all files: theirs, or float64 where they differ.
    NumericType type = NumericType::f32;
    bool first = true;
    for (const FilePart& part : parts) {
      const NumericType mine = part.source->traits().value_type;
      type = first || type == mine ? mine : NumericType::f64;
      first = false;
    }
    CsrMatrix out;
    out.indptr.push_back(0);
    for (const FilePart& part : chosen) {
      if (part.n_selected == 0) continue;
      Collector collector(*part.source, n_cols, type, out);
      PENSTOCK_RETURN_IF_ERROR(collect(part, collector, budget));
    }
    if (!std::equal(unique.begin(), unique.end(), positions.begin(), positions.end())) {
      std::vector<std::size_t> places;
      places.reserve(positions.size());
      for (const std::int64_t position : positions) {
        places.push_back(static_cast<std::size_t>(std::lower_bound(unique.begin(), unique.end(), position) -
                                                  unique.begin()));
      }
      out = arrange(out, places, numeric_size(type));
    }
    out.n_rows = positions.size();
    out.n_cols = n_cols;
    out.value_dtype = numeric_name(type);
    return out;
  } catch (const std::bad_alloc&) {
    return Status::budget("the system has no memory for these rows");
  }
}

}  // namespace penstock::internal
