#include "parquet/wide_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "parquet/column_target.h"
#include "parquet/element_window.h"

namespace penstock::parquet {
namespace {

constexpr std::uint64_t kTileRows = 32;  // handed out at once
constexpr std::uint64_t kAlign = 64;

Status too_large(const std::string& label, RowIndex rows, std::size_t columns, ByteCount bytes) {
  return Status::budget(fmt::format(
      "{}: {} columns in row groups of up to {} rows take {} to turn into rows, at most {} are used. Rewrite "
      "the file "
      "as lists (one row per cell: the genes and values that are not zero), or with row groups of at most {} "
      "rows",
      label, format_count(columns), format_count(rows), format_bytes(bytes),
      format_bytes(WideSource::kMostScratch),
      format_count(std::max<ByteCount>(
          1, WideSource::kMostScratch / std::max<ByteCount>(1, bytes / std::max<RowIndex>(rows, 1))))));
}

}  // namespace

Result<std::shared_ptr<const WideSource>> WideSource::open(const FileMetadata& metadata, WideColumns columns,
                                                           MemoryBudget& index_budget) {
  std::shared_ptr<WideSource> out(new WideSource);
  out->columns_ = std::move(columns);
  const auto& numbers = out->columns_.columns;
  if (metadata.n_rows >= 0xffffffffu) {
    return Status::unsupported(fmt::format("{}: {} rows in one file; fewer than 2^32 - 1 are read",
                                           out->columns_.label, metadata.n_rows));
  }
  const std::size_t groups = metadata.row_groups.size();
  ByteCount names = 0;
  for (const std::size_t number : numbers)
    names += sizeof(std::string) + metadata.columns[number].path.size() + 1;
  PENSTOCK_ASSIGN_OR_RETURN(
      out->held_, reserve_for(out->columns_.label, index_budget, MemoryTag::index,
                              sizeof(WideSource) + numbers.size() * (sizeof(std::size_t) + 1) + names +
                                  groups * (numbers.size() * sizeof(Chunk) + sizeof(RowIndex))));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    PENSTOCK_ASSIGN_OR_RETURN(MatrixColumn column,
                              open_matrix_column(metadata, numbers[i], Leaf::Shape::flat, false));
    if (i > 0 && column.stored != out->first_.stored) {
      return Status::unsupported(fmt::format("{}: column {} is {}, column {} is {}; a matrix has one type",
                                             metadata.label, metadata.columns[numbers[0]].path,
                                             numeric_name(out->first_.stored), column.column.path,
                                             numeric_name(column.stored)));
    }
    out->paths_.push_back(column.column.path);
    out->max_def_.push_back(column.column.max_def);
    if (i == 0) out->first_ = std::move(column);
  }
  SourceTraits& t = out->traits_;
  out->chunks_.reserve(groups * numbers.size());
  for (const RowGroup& group : metadata.row_groups) {
    out->first_row_.push_back(group.first_row);
    out->largest_group_ = std::max(out->largest_group_, group.n_rows);
    for (const std::size_t number : numbers) {
      const ColumnChunk& chunk = group.columns[number];
      out->chunks_.push_back({chunk.offset, chunk.offset + chunk.bytes});
      t.stored_bytes += chunk.bytes;
      // Nothing in a chunk is larger than all of it.
      out->first_.limits.widen(
          {chunk.uncompressed, chunk.uncompressed / numeric_size(out->first_.stored), 0});
    }
  }
  out->first_row_.push_back(metadata.n_rows);
  t.n_rows = metadata.n_rows;
  t.n_cols = numbers.size();
  const auto cells = checked_mul(out->largest_group_, t.n_cols);
  const auto bytes = cells ? checked_mul(*cells, numeric_size(out->first_.stored)) : std::nullopt;
  if (!bytes || *bytes > kMostScratch) {
    return too_large(out->columns_.label, out->largest_group_, numbers.size(), bytes.value_or(~ByteCount{0}));
  }
  t.value_type = out->first_.stored;
  t.index_type = IdTarget::id_type(t.n_cols);
  // How many values are zero is not known: batches are planned for the most.
  for (RowIndex r = 0; r < std::min<RowIndex>(t.n_rows, 1); ++r) t.lengths.add(t.n_cols);
  t.lengths.rows = t.n_rows;
  t.lengths.entries = t.n_rows * t.n_cols;
  t.lengths.entries_squared =
      static_cast<double>(t.n_rows) * static_cast<double>(t.n_cols) * static_cast<double>(t.n_cols);
  t.lengths.histogram[static_cast<std::size_t>(RowLengths::bucket_of(t.n_cols))] = t.n_rows;
  t.layout = fmt::format("wide: {} columns of {}, row groups of {}, {}", format_count(t.n_cols),
                         numeric_name(t.value_type), format_count(out->largest_group_),
                         compression_name(out->first_.codec));
  t.n_chunks = groups;
  t.rows_cross_chunks = false;
  return std::shared_ptr<const WideSource>(std::move(out));
}

std::size_t WideSource::group_of(RowIndex row) const {
  return static_cast<std::size_t>(std::upper_bound(first_row_.begin(), first_row_.end(), row) -
                                  first_row_.begin()) -
         1;
}

RowIndex WideSource::cut(RowIndex first, RowIndex target) const {
  const RowIndex n = traits_.n_rows;
  if (target >= n - first) return n;
  const RowIndex at = first + std::max<RowIndex>(target, 1);
  const std::size_t g = group_of(at);
  const RowIndex near = at - first_row_[g] <= first_row_[g + 1] - at ? first_row_[g] : first_row_[g + 1];
  return near > first ? near : first_row_[group_of(first) + 1];
}

Status WideSource::requests(std::span<const RowRange> wanted, Heads, RequestList& list) const {
  std::size_t next = 0;  // the first row group that was not asked for
  for (const RowRange& range : wanted) {
    for (std::size_t g = std::max(next, group_of(range.first)); first_row_[g] < range.last; ++g) {
      for (std::size_t c = 0; c < columns_.columns.size(); ++c) {
        list.add(columns_.file.get(), chunk(g, c).begin, chunk(g, c).end - chunk(g, c).begin);
      }
      next = g + 1;
      if (next + 1 >= first_row_.size()) break;
    }
  }
  return {};
}

ReadCost WideSource::cost(std::span<const RowRange> wanted) const {
  ReadCost cost;
  RequestList list;
  if (!requests(wanted, Heads::whole, list).ok()) return cost;
  list.coalesce(kCoalesceGap, kCoalesceMax);
  cost.stored = list.total_bytes();
  cost.requests = list.requests().size();
  cost.decoded = static_cast<ByteCount>(static_cast<double>(cost.stored) * first_.expansion);
  return cost;
}

struct WideSource::Layout {
  ByteCount dense = 0, page = 0, elements = 0, target = 0, ids = 0, values = 0, begins = 0, ends = 0, end = 0;
};

WideSource::Layout WideSource::layout() const {
  Layout at;
  const auto place = [&at](ByteCount bytes) {
    const ByteCount begin = at.end;
    at.end += round_up(bytes, kAlign);
    return begin;
  };
  const std::size_t item = numeric_size(traits_.value_type);
  at.dense = place(largest_group_ * traits_.n_cols * item);
  at.page = place(first_.limits.page);
  at.elements = place(2 * kSlice * 8);
  at.target = place(ValueTarget::scratch(first_.stored, first_.limits.dictionary));
  at.ids = place(kTileRows * traits_.n_cols * IdTarget::id_size(traits_.n_cols));
  at.values = place(kTileRows * traits_.n_cols * item);
  at.begins = place(kTileRows * sizeof(std::uint64_t));
  at.ends = place(kTileRows * sizeof(std::uint64_t));
  return at;
}

// And what the codec's context takes.
ByteCount WideSource::scratch_bytes(RowIndex) const { return layout().end + compression_bytes(first_.codec); }

class WideSource::Decoder {
 public:
  Decoder(const WideSource& source, const Fetched& fetched, Scratch& scratch, RowSink& sink)
      : s_(source), fetched_(fetched), scratch_(scratch), sink_(sink), at_(source.layout()) {}

  // The row group as a dense matrix.
  Status load(std::size_t group) {
    const RowIndex rows = s_.first_row_[group + 1] - s_.first_row_[group];
    const std::size_t item = numeric_size(s_.traits_.value_type);
    if (rows * s_.traits_.n_cols > 0) std::memset(at(at_.dense), 0, rows * s_.traits_.n_cols * item);
    for (std::size_t c = 0; c < s_.columns_.columns.size(); ++c) {
      PENSTOCK_RETURN_IF_ERROR(item == 4 ? load_column<std::uint32_t>(group, c, rows)
                                         : load_column<std::uint64_t>(group, c, rows));
    }
    return {};
  }

  // Rows [first, last) of the loaded row group.
  Status hand_out(std::size_t group, RowIndex first, RowIndex last) {
    for (RowIndex row = first; row < last; row += kTileRows) {
      const RowIndex after = std::min(last, row + kTileRows);
      const bool wide = IdTarget::id_size(s_.traits_.n_cols) == 4;
      const bool eight = numeric_size(s_.traits_.value_type) == 8;
      if (wide) {
        eight ? compact<std::uint32_t, std::uint64_t>(row, after)
              : compact<std::uint32_t, std::uint32_t>(row, after);
      } else {
        eight ? compact<std::uint16_t, std::uint64_t>(row, after)
              : compact<std::uint16_t, std::uint32_t>(row, after);
      }
      CsrTile tile;
      tile.rows = {s_.first_row_[group] + row, s_.first_row_[group] + after};
      tile.begins = reinterpret_cast<const std::uint64_t*>(at(at_.begins));
      tile.ends = reinterpret_cast<const std::uint64_t*>(at(at_.ends));
      tile.indices = at(at_.ids);
      tile.values = at(at_.values);
      tile.index_type = IdTarget::id_type(s_.traits_.n_cols);
      tile.value_type = s_.traits_.value_type;
      PENSTOCK_RETURN_IF_ERROR(sink_.csr(tile));
    }
    return {};
  }

 private:
  std::byte* at(ByteCount offset) const { return scratch_.bytes.data() + offset; }

  template <class Bits>
  Status load_column(std::size_t group, std::size_t c, RowIndex rows) {
    Leaf column = s_.first_.column;
    column.max_def = s_.max_def_[c];
    PageContext context = s_.first_.context(s_.columns_.file->label(), group);
    context.max_def = column.max_def;
    context.label.column = &s_.paths_[c];
    ValueTarget target(s_.first_.stored, column.type, false, true, s_.first_.limits.dictionary,
                       at(at_.target));
    ElementWindow window(column, context, column.type, &target,
                         {{at(at_.page), s_.first_.limits.page}, {at(at_.elements), 2 * kSlice * 8}, {}},
                         scratch_.codec);
    const Chunk& chunk = s_.chunk(group, c);
    PENSTOCK_RETURN_IF_ERROR(
        window.open({0, 0, chunk.begin, chunk.end, 0}, s_.columns_.file.get(), fetched_, false));
    auto* dense = reinterpret_cast<Bits*>(at(at_.dense));
    for (RowIndex row = 0; row < rows;) {
      while (window.end() == row) {
        bool widen = false;
        PENSTOCK_RETURN_IF_ERROR(window.more(row, &widen));
        if (window.exhausted()) {
          return context.label.corrupt(chunk.begin,
                                       fmt::format("{} rows in its pages, the row group has {}", row, rows));
        }
      }
      const auto* values = reinterpret_cast<const Bits*>(window.at(row));
      const std::uint64_t n = std::min(window.end(), rows) - row;
      // Zero has no bits set, but for the sign of -0.0, which is a value of its own.
      for (std::uint64_t i = 0; i < n; ++i) {
        if (values[i] != 0) dense[(row + i) * s_.traits_.n_cols + c] = values[i];
      }
      row += n;
    }
    return {};
  }

  template <class Id, class Bits>
  void compact(RowIndex first, RowIndex last) {
    auto* ids = reinterpret_cast<Id*>(at(at_.ids));
    auto* values = reinterpret_cast<Bits*>(at(at_.values));
    auto* begins = reinterpret_cast<std::uint64_t*>(at(at_.begins));
    auto* ends = reinterpret_cast<std::uint64_t*>(at(at_.ends));
    const auto* dense = reinterpret_cast<const Bits*>(at(at_.dense));
    std::uint64_t n = 0;
    for (RowIndex row = first; row < last; ++row) {
      begins[row - first] = n;
      const Bits* from = dense + row * s_.traits_.n_cols;
      for (std::uint64_t c = 0; c < s_.traits_.n_cols; ++c) {
        ids[n] = static_cast<Id>(c);
        values[n] = from[c];
        n += from[c] != 0 ? 1 : 0;
      }
      ends[row - first] = n;
    }
  }

  const WideSource& s_;
  const Fetched& fetched_;
  Scratch& scratch_;
  RowSink& sink_;
  const Layout at_;
};

Status WideSource::decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                          RowSink& sink) const {
  if (wanted.empty()) return {};
  if (scratch.bytes.size() < layout().end || scratch.codec == nullptr) {
    return Status::internal(
        fmt::format("{}: a scratch of {} bytes, {} are needed", label(), scratch.bytes.size(), layout().end));
  }
  scratch.head_too_short = false;
  Decoder decoder(*this, fetched, scratch, sink);
  std::size_t loaded = first_row_.size();
  for (const RowRange& range : wanted) {
    for (RowIndex row = range.first; row < range.last;) {
      const std::size_t g = group_of(row);
      if (g != loaded) PENSTOCK_RETURN_IF_ERROR(decoder.load(g));
      loaded = g;
      const RowIndex end = std::min(range.last, first_row_[g + 1]);
      PENSTOCK_RETURN_IF_ERROR(decoder.hand_out(g, row - first_row_[g], end - first_row_[g]));
      row = end;
    }
  }
  return {};
}

Result<std::shared_ptr<const RowSource>> WideSource::resident(MemoryBudget&) const {
  return std::shared_ptr<const RowSource>(shared_from_this(), this);
}

}  // namespace penstock::parquet
