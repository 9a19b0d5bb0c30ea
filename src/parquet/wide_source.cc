#include "parquet/wide_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "parquet/column_target.h"
#include "parquet/element_window.h"

// A wide file has a column chunk for each gene, and rows are what is wanted. There is no reading of single
// rows: whoever needs one of a row group decodes all of the group's columns. So it goes in two phases, both
// inside the scratch:
//
//   load()      column after column is decoded into its place in a dense matrix of the row group
//   hand_out()  rows of it become compact ones (columns and values that are not zero), 32 at a time
//
// The dense matrix is what limits the layout: 62,710 genes in float32 and row groups of 10,000 rows are 2.5
// GB. Beyond kMostScratch a file is refused, with a size of row groups that would do.
namespace penstock::parquet {
namespace {

constexpr std::uint64_t kTileRows = 32;  // handed out at once

Status too_large(const std::string& label, RowIndex rows, std::size_t columns, ByteCount bytes) {
  return Status::budget(fmt::format(
      "{}: {} columns in row groups of up to {} rows take {} to turn into rows, at most {} are used. Rewrite "
      "the file as lists (one row per cell: the genes and values that are not zero), or with row groups of "
      "at most {} rows",
      label, format_count(columns), format_count(rows), format_bytes(bytes),
      format_bytes(WideSource::kMostScratch),
      format_count(std::max<ByteCount>(
          1, WideSource::kMostScratch / std::max<ByteCount>(1, bytes / std::max<RowIndex>(rows, 1))))));
}

// Which columns are of another type than most: obs beside the genes, as a rule.
// The columns in the minority are named, at most eight, and the message has them in the form that obs= takes.
Status types_differ(const FileMetadata& metadata, std::span<const std::size_t> numbers) {
  std::map<NumericType, std::uint64_t> found;
  for (const std::size_t number : numbers) {
    PENSTOCK_ASSIGN_OR_RETURN(const NumericType type, matrix_type(metadata.columns[number], metadata.label));
    ++found[type];
  }
  const NumericType usual = std::max_element(found.begin(), found.end(), [](const auto& a, const auto& b) {
                              return a.second < b.second;
                            })->first;
  std::string others, names;
  std::uint64_t n = 0;
  for (const std::size_t number : numbers) {
    const Leaf& column = metadata.columns[number];
    PENSTOCK_ASSIGN_OR_RETURN(const NumericType type, matrix_type(column, metadata.label));
    if (type == usual || n++ >= 8) continue;
    others += fmt::format("{}{} is {}", n == 1 ? "" : ", ", column.path, numeric_name(type));
    names += fmt::format("{}\"{}\"", n == 1 ? "" : ", ", column.name);
  }
  if (n > 8) others += fmt::format(" and {} more", n - 8);
  if (n > 8) names += ", ...";
  return Status::unsupported(
      fmt::format("{}: a matrix has one type; most columns are {}, but {}. Name those that are obs, not "
                  "genes: obs=[{}]; or cast all genes to one type",
                  metadata.label, numeric_name(usual), others, names));
}

}  // namespace

Result<std::shared_ptr<const WideSource>> WideSource::open(const FileMetadata& metadata, WideColumns columns,
                                                           MemoryBudget& index_budget) {
  const std::size_t groups = metadata.row_groups.size(), n = columns.columns.size();
  std::shared_ptr<WideSource> out(
      new WideSource(std::move(columns.file), std::move(columns.label), std::move(columns.names)));
  PENSTOCK_RETURN_IF_ERROR(out->check_rows(metadata.n_rows));
  PENSTOCK_ASSIGN_OR_RETURN(out->held_, reserve_for(out->label_, index_budget, MemoryTag::index,
                                                    sizeof(WideSource) + n * (1 + sizeof(Compression)) +
                                                        groups * (n * sizeof(Chunk) + sizeof(RowIndex))));
  // All columns have one record, first_, and what differs between them (nulls allowed, codec) has a byte
  // each: a file has tens of thousands, in hundreds of row groups.
  PENSTOCK_RETURN_IF_ERROR(out->take_columns(metadata, columns.columns));
  out->take_groups(metadata, columns.columns);
  PENSTOCK_RETURN_IF_ERROR(out->fill_traits(metadata.n_rows));
  return std::shared_ptr<const WideSource>(std::move(out));
}

// What is kept of each column; all have the first one's type.
Status WideSource::take_columns(const FileMetadata& metadata, std::span<const std::size_t> numbers) {
  max_def_.reserve(numbers.size());
  codecs_.reserve(numbers.size());
  ByteCount stored = 0, uncompressed = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    PENSTOCK_ASSIGN_OR_RETURN(MatrixColumn column,
                              open_matrix_column(metadata, numbers[i], Leaf::Shape::flat, false));
    if (i > 0 && column.stored != first_.stored) return types_differ(metadata, numbers);
    max_def_.push_back(column.column.max_def);
    codecs_.push_back(column.codec);
    codec_bytes_ = std::max(codec_bytes_, compression_bytes(column.codec));
    for (const RowGroup& group : metadata.row_groups) {
      stored += group.columns[numbers[i]].bytes;
      uncompressed += group.columns[numbers[i]].uncompressed;
    }
    if (i == 0) first_ = std::move(column);
  }
  if (stored > 0) first_.expansion = static_cast<double>(uncompressed) / static_cast<double>(stored);
  return {};
}

// Where the chunks of each row group lie, and the most that any of them needs.
void WideSource::take_groups(const FileMetadata& metadata, std::span<const std::size_t> numbers) {
  groups_.reserve(metadata.row_groups.size());
  chunks_.reserve(metadata.row_groups.size() * numbers.size());
  ByteCount uncompressed = 0;
  for (const RowGroup& group : metadata.row_groups) {
    groups_.add(group.first_row);
    largest_group_ = std::max(largest_group_, group.n_rows);
    for (const std::size_t number : numbers) {
      const ColumnChunk& chunk = group.columns[number];
      chunks_.push_back({chunk.offset, chunk.offset + chunk.bytes});
      traits_.stored_bytes += chunk.bytes;
      uncompressed += chunk.uncompressed;
      // Nothing in a chunk is larger than all of it.
      const ByteCount all = chunk.uncompressed + kUndeclaredBytes;
      first_.limits.widen({all, all / numeric_size(first_.stored), 0});
    }
  }
  groups_.add(metadata.n_rows);
  if (traits_.stored_bytes > 0) {
    first_.expansion = static_cast<double>(uncompressed) / static_cast<double>(traits_.stored_bytes);
  }
}

Status WideSource::fill_traits(RowIndex n_rows) {
  SourceTraits& t = traits_;
  t.n_rows = n_rows;
  t.n_cols = n_cols();
  const auto cells = checked_mul(largest_group_, t.n_cols);
  // The dense matrix grows with the rows and with the columns of the file, so that its size is computed with
  // care, and bounded.
  const auto bytes = cells ? checked_mul(*cells, numeric_size(first_.stored)) : std::nullopt;
  if (!bytes || *bytes > kMostScratch) {
    return too_large(label_, largest_group_, n_cols(), bytes.value_or(~ByteCount{0}));
  }
  t.value_type = first_.stored;
  t.index_type = IdTarget::id_type(t.n_cols);
  // How many values are zero is not known: batches are planned for the most.
  // One row is counted, and then made to stand for all: adding each would take a loop over all rows.
  if (t.n_rows > 0) t.lengths.add(t.n_cols);
  t.lengths.rows = t.n_rows;
  t.lengths.entries = t.n_rows * t.n_cols;
  t.lengths.entries_squared =
      static_cast<double>(t.n_rows) * static_cast<double>(t.n_cols) * static_cast<double>(t.n_cols);
  t.lengths.histogram[static_cast<std::size_t>(RowLengths::bucket_of(t.n_cols))] = t.n_rows;
  t.layout =
      fmt::format("wide: {} columns of {}, row groups of {}, {}", format_count(t.n_cols),
                  numeric_name(t.value_type), format_count(largest_group_), compression_name(first_.codec));
  t.n_chunks = groups_.n_groups();
  t.rows_cross_chunks = false;
  return {};
}

void WideSource::add_requests(std::size_t, std::span<const RowRange> wanted, RequestList& list) const {
  groups_.for_each_group(wanted, [&](std::size_t g, std::span<const RowRange>) {
    for (std::size_t c = 0; c < n_cols(); ++c) {
      list.add(file_.get(), chunk(g, c).begin, chunk(g, c).end - chunk(g, c).begin);
    }
    return true;
  });
}

// What lies in a scratch.
struct WideSource::Parts {
  std::span<std::byte> dense;    // the values of a row group, row by row
  ElementWindow::Memory column;  // the column that is being decoded into it
  std::span<std::byte> target;
  std::span<std::byte> ids, values;       // a tile
  std::span<std::uint64_t> begins, ends;  // of its rows
};

WideSource::Parts WideSource::parts(Carver& memory) const {
  const std::size_t item = numeric_size(traits_.value_type);
  Parts at;
  at.dense = memory.bytes(largest_group_ * traits_.n_cols * item);
  // Two slices: one that is being moved out, and room for the next.
  at.column = ElementWindow::Memory::carve(memory, first_.limits, 2 * kSlice);
  at.target = memory.bytes(ValueTarget::scratch(first_.stored, first_.limits.dictionary));
  at.ids = memory.bytes(kTileRows * traits_.n_cols * IdTarget::id_size(traits_.n_cols));
  at.values = memory.bytes(kTileRows * traits_.n_cols * item);
  at.begins = memory.array<std::uint64_t>(kTileRows);
  at.ends = memory.array<std::uint64_t>(kTileRows);
  return at;
}

ByteCount WideSource::own_scratch() const {
  Carver measured;
  parts(measured);
  return measured.used();
}

class WideSource::Decoder {
 public:
  Decoder(const WideSource& source, const Parts& parts, const Fetched& fetched, CodecContext* codec,
          RowSink& sink)
      : s_(source), at_(parts), fetched_(fetched), codec_(codec), sink_(sink) {}

  // The row group as a dense matrix. Values are moved as the integers of their size, which needs two
  // instances and not one for each type: whether a value is zero can be told from its bits.
  Status load(std::size_t group) {
    const RowIndex rows = s_.groups_.size(group);
    const std::size_t item = numeric_size(s_.traits_.value_type);
    // Zeros first: most values of expression data are zeros, and only the others are written.
    if (rows * s_.traits_.n_cols > 0) std::memset(at_.dense.data(), 0, rows * s_.traits_.n_cols * item);
    for (std::size_t c = 0; c < s_.n_cols(); ++c) {
      PENSTOCK_RETURN_IF_ERROR(item == 4 ? load_column<std::uint32_t>(group, c, rows)
                                         : load_column<std::uint64_t>(group, c, rows));
    }
    return {};
  }

  // Rows [first, last) of the loaded row group.
  Status hand_out(std::size_t group, RowIndex first, RowIndex last) {
    for (RowIndex row = first; row < last; row += kTileRows) {
      const RowIndex after = std::min(last, row + kTileRows);
      // Four instances of one loop, chosen for each tile and not for each value.
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
      tile.rows = {s_.groups_.first(group) + row, s_.groups_.first(group) + after};
      tile.begins = at_.begins.data();
      tile.ends = at_.ends.data();
      tile.indices = at_.ids.data();
      tile.values = at_.values.data();
      tile.index_type = IdTarget::id_type(s_.traits_.n_cols);
      tile.value_type = s_.traits_.value_type;
      PENSTOCK_RETURN_IF_ERROR(sink_.csr(tile));
    }
    return {};
  }

 private:
  // The column's own names and levels go into a copy of the record that all share, so that an error names the
  // gene.
  template <class Bits>
  Status load_column(std::size_t group, std::size_t c, RowIndex rows) {
    Leaf column = s_.first_.column;
    column.max_def = s_.max_def_[c];
    PageContext context = s_.first_.context(s_.file_->label(), group);
    context.max_def = column.max_def;
    context.codec = s_.codecs_[c];
    context.label.column = &s_.names_->strings[c];
    ValueTarget target(s_.first_.stored, column.type, false, true, s_.first_.limits.dictionary,
                       at_.target.data());
    ElementWindow window(column, context, column.type, &target, at_.column, codec_);
    const Chunk& chunk = s_.chunk(group, c);
    PENSTOCK_RETURN_IF_ERROR(window.open({0, 0, chunk.begin, chunk.end, 0}, s_.file_.get(), fetched_, false));
    auto* dense = reinterpret_cast<Bits*>(at_.dense.data());
    for (RowIndex row = 0; row < rows;) {
      while (window.end() == row) {
        bool widen = false;
        PENSTOCK_RETURN_IF_ERROR(window.more(row, &widen));
        // more() opens pages without values along the way; only when none is left there are too few rows.
        if (window.exhausted()) {
          return context.label.corrupt(chunk.begin,
                                       fmt::format("{} rows in its pages, the row group has {}", row, rows));
        }
      }
      const auto* values = reinterpret_cast<const Bits*>(window.at(row));
      // A page may have more values than the row group has rows, in a damaged file: those are not looked at,
      // and the dense matrix has no room for them.
      const std::uint64_t n = std::min(window.end(), rows) - row;
      // Zero has no bits set, but for the sign of -0.0, which is a value of its own.
      for (std::uint64_t i = 0; i < n; ++i) {
        if (values[i] != 0) dense[(row + i) * s_.traits_.n_cols + c] = values[i];
      }
      row += n;
    }
    return {};
  }

  // Without a branch on the value, which would be guessed wrong for every other one: each column is written,
  // and the next is written over it unless its value counts. The last write of a row may be one beyond what
  // counts, which is inside of the tile, since a row has at most n_cols entries.
  template <class Id, class Bits>
  void compact(RowIndex first, RowIndex last) {
    auto* ids = reinterpret_cast<Id*>(at_.ids.data());
    auto* values = reinterpret_cast<Bits*>(at_.values.data());
    std::uint64_t* const begins = at_.begins.data();
    std::uint64_t* const ends = at_.ends.data();
    const auto* dense = reinterpret_cast<const Bits*>(at_.dense.data());
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
  const Parts& at_;
  const Fetched& fetched_;
  CodecContext* const codec_;
  RowSink& sink_;
};

Status WideSource::decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                          RowSink& sink) const {
  if (wanted.empty()) return {};
  PENSTOCK_RETURN_IF_ERROR(check_scratch(*this, scratch, own_scratch()));
  scratch.head_too_short = false;
  Carver memory(scratch.bytes.data());
  const Parts mine = parts(memory);
  Decoder decoder(*this, mine, fetched, scratch.codec, sink);
  Status status;
  // A block is a row group as a rule. Where ranges of several are wanted, each group is loaded once and all
  // ranges of it are handed out.
  groups_.for_each_group(wanted, [&](std::size_t g, std::span<const RowRange> ranges) {
    status = decoder.load(g);
    const RowIndex begin = groups_.first(g), end = groups_.end(g);
    for (std::size_t i = 0; i < ranges.size() && status.ok(); ++i) {
      status = decoder.hand_out(g, std::max(ranges[i].first, begin) - begin,
                                std::min(ranges[i].last, end) - begin);
    }
    return status.ok();
  });
  return status;
}

}  // namespace penstock::parquet
