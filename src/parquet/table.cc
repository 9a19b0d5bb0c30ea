// The table of obs or var of a Parquet file. A Dataset may have thousands of files whose tables are never
// asked for, so that a table keeps the names of its columns and nothing else; a column is opened by reading
// the footer once more, for this column alone. footer() says when that is too slow, and what is done then.
//
// Names need not be UTF-8, and Python has no strings for those that are not. Such a column is shown under a
// name that can be printed (shown_text), and asking for it says why it cannot be read.
#include "parquet/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "base/mutex.h"
#include "base/names.h"
#include "memory/growing.h"
#include "parquet/column_reader.h"
#include "parquet/flat_column.h"
#include "parquet/stream_column.h"
#include "source/memory_table.h"
#include "source/numbers.h"

namespace penstock::parquet {
namespace {

class ColumnOfTable final : public TableColumn {
 public:
  explicit ColumnOfTable(std::shared_ptr<const FlatColumn> column) : column_(std::move(column)) {}

  Encoding encoding() const override {
    if (is_string(column_->column)) return Encoding::string;
    return column_->column.type == PhysicalType::boolean ? Encoding::boolean : Encoding::number;
  }
  NumericType number() const override { return number_type(column_->column); }
  const std::string& where() const override { return column_->where; }
  const std::string& dtype() const override { return column_->dtype; }
  bool ordered() const override { return false; }
  bool masked() const override { return column_->masked(); }
  std::uint64_t size() const override { return column_->n_rows(); }
  Result<std::shared_ptr<const Categories>> categories(MemoryBudget&) const override {
    return Status::internal(column_->where + ": not a categorical");
  }
  std::uint64_t rows_at_once() const override { return parquet::rows_at_once(*column_); }
  Result<Column> read(std::uint64_t first, std::uint64_t count, std::uint64_t) const override {
    return read_rows(*column_, first, count);
  }
  std::shared_ptr<const ObsColumn> stream(std::uint64_t) const override { return stream_column(column_); }

 private:
  const std::shared_ptr<const FlatColumn> column_;
};

// A bound as people write it.
// Bounds go to the skipping of row groups by queries and to people, so that they are written as the column's
// values are.
std::optional<std::string> bound_text(const Leaf& column, const std::optional<std::string>& bytes) {
  if (!bytes) return std::nullopt;
  const auto* from = reinterpret_cast<const std::byte*>(bytes->data());
  switch (column.type) {
    case PhysicalType::byte_array:
      return bytes;
    case PhysicalType::boolean:
      return bytes->empty() ? std::nullopt
                            : std::optional<std::string>(from[0] != std::byte{0} ? "True" : "False");
    case PhysicalType::int32:
    case PhysicalType::int64: {
      std::int64_t value = 0;
      const bool wide = column.type == PhysicalType::int64;
      to_int64(stored_integer_type(column), from, {&value, 1});
      return integer_text(value, wide && !column.is_signed);
    }
    case PhysicalType::float32:
    case PhysicalType::float64: {
      double value = 0;
      to_double(number_type(column), from, {&value, 1});
      return float_text(value);
    }
    default:
      return std::nullopt;
  }
}

// Of footers that are longer, what the table needs is kept once it was asked for: asking for one column after
// the other would take the square of their number. Shorter ones are parsed again in no time, so that
// thousands of files cost little.
constexpr ByteCount kLongFooter = 256 << 10;

class ParquetTable final : public Table {
 public:
  ParquetTable(std::shared_ptr<const File> file, const FileMetadata& metadata,
               std::shared_ptr<MemoryBudget> budget)
      : file_(std::move(file)),
        budget_(std::move(budget)),
        n_rows_(metadata.n_rows),
        keeps_footer_(metadata.footer_bytes > kLongFooter) {}

  // Columns of the matrix are left out, and lists and structs, which no table has. The index is a column of
  // the file and none of the table.
  Status take_names(const FileMetadata& metadata, const TableOptions& options) {
    const PandasIndex& index = metadata.pandas;
    first_ = index.start;
    step_ = index.step;
    index_ = options.index;
    // An index of several levels names no row by itself; rows are numbered then.
    if (index_.empty() && index.columns.size() == 1) index_ = *index.columns.begin();
    Growing memory(where(), *budget_, MemoryTag::index);
    for (const Leaf& column : metadata.columns) {
      if (column.shape != Leaf::Shape::flat || (options.leave_out && options.leave_out(column))) continue;
      has_index_ |= column.name == index_;
      if (column.name == index_) continue;
      const std::string shown = shown_text(column.name);
      PENSTOCK_RETURN_IF_ERROR(memory.add(kKnownBytes + heap_bytes(shown)));
      PENSTOCK_RETURN_IF_ERROR(memory.push(names_, shown));
      if (is_utf8(column.name)) continue;
      PENSTOCK_RETURN_IF_ERROR(memory.add(kKnownBytes + sizeof(std::string) + heap_bytes(shown)));
      no_text_.insert(shown);
    }
    // Views of names_, which does not grow any more.
    known_.insert(names_.begin(), names_.end());
    held_ = memory.finish();
    return {};
  }

  std::uint64_t n_rows() const override { return n_rows_; }
  const std::vector<std::string>& columns() const override { return names_; }
  bool has(const std::string& name) const override { return known_.contains(name); }
  Result<std::shared_ptr<const TableColumn>> index() const override {
    if (!has_index_) return numbered_rows(n_rows_, where(), first_, step_);
    return open(index_);
  }
  Result<std::shared_ptr<const TableColumn>> column(const std::string& name) const override {
    if (!has(name) && !(has_index_ && name == index_)) return no_column(name);
    return open(name);
  }
  ColumnInfo info(const std::string& name) const override {
    ColumnInfo out;
    out.name = name;
    // Opens the column, which reads no page of it, to say what it would be.
    const auto found = column(name);
    out.usable = found.ok();
    if (found.ok()) {
      out.dtype = found.value()->dtype();
    } else {
      out.why = found.status().message();
    }
    return out;
  }
  Result<std::vector<ColumnBounds>> bounds(const std::string& name) const override {
    if (!has(name)) return no_column(name);
    PENSTOCK_ASSIGN_OR_RETURN(const auto metadata, footer(name));
    PENSTOCK_ASSIGN_OR_RETURN(const Leaf* column, leaf(*metadata, name));
    std::vector<ColumnBounds> out;
    for (const RowGroup& group : metadata->row_groups) {
      const Statistics& s = group.statistics[metadata->index_of(*column)];
      out.push_back({{group.first_row, group.first_row + group.n_rows},
                     bound_text(*column, s.min),
                     bound_text(*column, s.max),
                     s.null_count});
    }
    return out;
  }
  std::string where() const override { return file_->label(); }

 private:
  Status no_column(const std::string& name) const {
    return Status::not_found(
        fmt::format("{}: no column '{}'; it has: {}", where(), name, fmt::join(names_, ", ")));
  }

  // What the footer says of a column, maybe among others.
  Result<std::shared_ptr<const FileMetadata>> footer(const std::string& name) const {
    if (no_text_.contains(name)) {
      return Status::unsupported(
          fmt::format("{}: {}: the name of this column is not UTF-8: rename it to read it", where(), name));
    }
    MetadataOptions options;
    options.statistics = true;
    if (keeps_footer_) {
      // Held while the footer is read: of several threads that ask at once, one reads it for all.
      const MutexLock lock(mutex_);
      if (kept_ != nullptr) return kept_;
      options.wanted = [&](const Leaf& leaf) {
        return leaf.shape == Leaf::Shape::flat && (known_.contains(leaf.name) || leaf.name == index_);
      };
      auto all = read_metadata(*file_, *budget_, options);
      if (all.ok()) kept_ = *all;
      // Where that does not fit, a single column may.
      if (all.ok() || all.status().code() != StatusCode::budget) return all;
    }
    options.wanted = [&](const Leaf& leaf) { return leaf.shape == Leaf::Shape::flat && leaf.name == name; };
    return read_metadata(*file_, *budget_, options);
  }

  Result<const Leaf*> leaf(const FileMetadata& metadata, const std::string& name) const {
    const Leaf* column = metadata.find(name);
    // The footer was read at another time than the names. If the column is gone or the rows are others, the
    // file was written anew in between.
    if (column != nullptr && metadata.n_rows == n_rows_) return column;
    // Or the name was never a column's own: find() gives none of several.
    const auto n = std::count_if(metadata.columns.begin(), metadata.columns.end(),
                                 [&](const Leaf& c) { return c.name == name; });
    if (n > 1) {
      return Status::unsupported(fmt::format(
          "{}: {}: {} columns have this name, so none can be told from the others; rename all but "
          "one and write the file again",
          where(), name, n));
    }
    return Status::io_error(fmt::format("{}: {}: the file changed since it was opened", where(), name));
  }

  Result<std::shared_ptr<const TableColumn>> open(const std::string& name) const {
    PENSTOCK_ASSIGN_OR_RETURN(const auto metadata, footer(name));
    PENSTOCK_ASSIGN_OR_RETURN(const Leaf* column, leaf(*metadata, name));
    PENSTOCK_ASSIGN_OR_RETURN(auto opened, open_flat_column(file_, budget_, *metadata, *column,
                                                            fmt::format("{}: {}", where(), name)));
    return std::shared_ptr<const TableColumn>(std::make_shared<const ColumnOfTable>(std::move(opened)));
  }

  // Of a name, beside its text: it is in a vector and a set.
  static constexpr ByteCount kKnownBytes = 64;

  const std::shared_ptr<const File> file_;
  const std::shared_ptr<MemoryBudget> budget_;
  const std::uint64_t n_rows_;
  const bool keeps_footer_;
  std::string index_;
  bool has_index_ = false;
  std::int64_t first_ = 0, step_ = 1;           // numbers of the rows without one
  std::vector<std::string> names_;              // those that are not UTF-8 as they are shown
  std::unordered_set<std::string_view> known_;  // the same
  std::unordered_set<std::string> no_text_;     // of names_: those that are not UTF-8
  Reservation held_;
  mutable Mutex mutex_;
  mutable std::shared_ptr<const FileMetadata> kept_ PENSTOCK_GUARDED_BY(mutex_);
};

}  // namespace

Result<std::shared_ptr<const Table>> make_table(std::shared_ptr<const File> file,
                                                const FileMetadata& metadata,
                                                std::shared_ptr<MemoryBudget> budget,
                                                const TableOptions& options) {
  auto out = std::make_shared<ParquetTable>(std::move(file), metadata, std::move(budget));
  PENSTOCK_RETURN_IF_ERROR(out->take_names(metadata, options));
  return std::shared_ptr<const Table>(std::move(out));
}

}  // namespace penstock::parquet
