#include "parquet/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "parquet/flat_chunk.h"
#include "parquet/pandas_index.h"
#include "source/memory_table.h"
#include "source/numbers.h"

namespace penstock::parquet {
namespace {

constexpr std::uint64_t kAlign = 64;

bool is_string(const Leaf& column) {
  return column.type == PhysicalType::byte_array &&
         (column.logical == Logical::string || column.logical == Logical::none);
}

bool is_integer_type(PhysicalType type) { return type == PhysicalType::int32 || type == PhysicalType::int64; }

// Why a column cannot be read; empty when it can.
std::string unusable(const Leaf& c) {
  if (is_string(c) || c.type == PhysicalType::boolean) return {};
  if (c.type == PhysicalType::float32 || c.type == PhysicalType::float64) return {};
  if (is_integer_type(c.type) &&
      (c.logical == Logical::none || c.logical == Logical::integer || c.logical == Logical::temporal)) {
    return {};
  }
  return fmt::format("{}{} is not read", physical_name(c.type),
                     c.logical_text.empty() ? "" : " (" + c.logical_text + ")");
}

NumericType integer_type(const Leaf& c) {
  if (c.logical == Logical::integer) {
    switch (c.bits) {
      case 8:
        return c.is_signed ? NumericType::i8 : NumericType::u8;
      case 16:
        return c.is_signed ? NumericType::i16 : NumericType::u16;
      case 32:
        return c.is_signed ? NumericType::i32 : NumericType::u32;
      default:
        return c.is_signed ? NumericType::i64 : NumericType::u64;
    }
  }
  return c.type == PhysicalType::int32 ? NumericType::i32 : NumericType::i64;
}

NumericType number_type(const Leaf& c) {
  if (c.type == PhysicalType::float32) return NumericType::f32;
  if (c.type == PhysicalType::float64) return NumericType::f64;
  return integer_type(c);
}

// What is kept of a column chunk.
struct Chunk {
  RowIndex first_row = 0;
  ByteOffset offset = 0;
  ByteCount bytes = 0, uncompressed = 0;
};

// A column, opened: its type and where its chunks lie.
struct Opened {
  std::shared_ptr<const File> file;
  std::shared_ptr<MemoryBudget> budget;
  Leaf column;
  Compression codec = Compression::none;
  std::vector<Chunk> chunks;  // and one behind the last
  std::uint64_t nulls = 0;
  bool may_be_null = false;
  std::string where, dtype;
  Reservation held;

  RowIndex n_rows() const { return chunks.back().first_row; }
  RowIndex rows(std::size_t group) const { return chunks[group + 1].first_row - chunks[group].first_row; }
  std::size_t group_of(RowIndex row) const {
    const auto after = std::upper_bound(chunks.begin(), chunks.end(), row,
                                        [](RowIndex at, const Chunk& chunk) { return at < chunk.first_row; });
    return static_cast<std::size_t>(after - chunks.begin()) - 1;
  }
  PageContext context(std::size_t group) const {
    return {codec, column.max_def, column.max_rep, {&file->label(), &column.path, group}};
  }
  bool integer() const { return is_integer_type(column.type); }
};

// Integers, floats and booleans as obs_column.h wants them.
class StreamedColumn final : public ObsColumn {
 public:
  explicit StreamedColumn(std::shared_ptr<const Opened> opened) : o_(std::move(opened)) {
    for (std::size_t g = 0; g + 1 < o_->chunks.size(); ++g) {
      largest_ = std::max(largest_, o_->chunks[g].uncompressed);
      most_rows_ = std::max(most_rows_, o_->rows(g));
    }
  }

  ObsKind kind() const override {
    switch (o_->column.type) {
      case PhysicalType::boolean:
        return o_->may_be_null ? ObsKind::floating64 : ObsKind::boolean;
      case PhysicalType::float32:
        return ObsKind::floating32;
      case PhysicalType::float64:
        return ObsKind::floating64;
      default:
        return o_->may_be_null ? ObsKind::floating64 : ObsKind::integer;
    }
  }
  RowIndex n_rows() const override { return o_->n_rows(); }
  bool streamable() const override { return true; }
  Status requests(RowRange rows, RequestList& list) const override {
    if (rows.size() == 0) return {};
    for (std::size_t g = o_->group_of(rows.first); o_->chunks[g].first_row < rows.last; ++g) {
      if (o_->rows(g) > 0) list.add(o_->file.get(), o_->chunks[g].offset, o_->chunks[g].bytes);
      if (g + 2 == o_->chunks.size()) break;
    }
    return {};
  }
  ByteCount scratch_bytes(RowIndex) const override {
    return 2 * round_up(largest_, kAlign) + round_up(most_rows_ * 8, kAlign) + round_up(most_rows_, kAlign);
  }
  Status decode(RowRange rows, const Fetched& fetched, Scratch& scratch,
                std::span<std::byte> out) const override {
    const std::size_t item = obs_value_bytes(kind());
    if (scratch.bytes.size() < scratch_bytes(0) || out.size() != rows.size() * item || rows.last > n_rows()) {
      return Status::internal(o_->where + ": scratch or output of another size");
    }
    std::byte* at = scratch.bytes.data();
    const auto carve = [&at](ByteCount bytes) {
      std::byte* begin = at;
      at += round_up(bytes, kAlign);
      return std::span(begin, bytes);
    };
    FlatMemory memory;
    memory.page = carve(largest_);
    memory.dictionary = carve(largest_);
    memory.values = carve(most_rows_ * 8);
    const auto levels = carve(most_rows_);
    memory.levels = {reinterpret_cast<std::uint8_t*>(levels.data()), levels.size()};
    for (RowIndex row = rows.first; row < rows.last;) {
      const std::size_t g = o_->group_of(row);
      const Chunk& chunk = o_->chunks[g];
      const auto bytes = fetched.find(o_->file.get(), chunk.offset, chunk.bytes);
      if (bytes.size() != chunk.bytes) return Status::internal(o_->where + ": bytes were not fetched");
      PENSTOCK_RETURN_IF_ERROR(decode_numbers(o_->context(g), o_->column, bytes, chunk.offset, o_->rows(g),
                                              memory, *scratch.codec));
      const RowIndex last = std::min(rows.last, o_->chunks[g + 1].first_row);
      for (; row < last; ++row) {
        store(memory, row - chunk.first_row, out.data() + (row - rows.first) * item);
      }
    }
    return {};
  }

 private:
  template <class T>
  static T load(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
  }

  std::int64_t integer_at(const std::byte* from) const {
    if (o_->column.type == PhysicalType::int64) return load<std::int64_t>(from);
    const auto value = load<std::int32_t>(from);
    return o_->column.is_signed ? value : static_cast<std::int64_t>(static_cast<std::uint32_t>(value));
  }

  void store(const FlatMemory& memory, std::uint64_t i, std::byte* out) const {
    const std::byte* from = memory.values.data() + i * value_bytes(o_->column);
    const bool present = memory.levels[i] != 0;
    const auto put = [&](auto value) { std::memcpy(out, &value, sizeof(value)); };
    switch (kind()) {
      case ObsKind::boolean:
        return put(static_cast<std::uint8_t>(from[0]));
      case ObsKind::floating32:
        return put(present ? load<float>(from) : std::numeric_limits<float>::quiet_NaN());
      case ObsKind::integer:
        return put(integer_at(from));
      default:
        break;
    }
    double value = std::numeric_limits<double>::quiet_NaN();
    if (present) {
      if (o_->column.type == PhysicalType::float64) {
        value = load<double>(from);
      } else if (o_->column.type == PhysicalType::boolean) {
        value = from[0] != std::byte{0} ? 1 : 0;
      } else {
        value = static_cast<double>(integer_at(from));
      }
    }
    put(value);
  }

  const std::shared_ptr<const Opened> o_;
  ByteCount largest_ = 0;
  RowIndex most_rows_ = 0;
};

// Bytes of scratch that grow as a column is read. In steps: asking costs more than a short string.
class Held {
 public:
  explicit Held(const Opened& column) : column_(column) {}

  Status charge(ByteCount bytes) {
    constexpr ByteCount kStep = 64 << 10;
    const auto wanted = checked_add(charged_, bytes);
    charged_ = wanted.value_or(~ByteCount{0} >> 2);
    if (charged_ <= held_.bytes()) return {};
    if (held_.bytes() == 0) {
      PENSTOCK_ASSIGN_OR_RETURN(held_,
                                reserve_for(column_.where, *column_.budget, MemoryTag::scratch, charged_));
      return {};
    }
    return resize_for(column_.where, *column_.budget, held_, MemoryTag::scratch, charged_ + kStep);
  }

 private:
  const Opened& column_;
  Reservation held_;
  ByteCount charged_ = 0;
};

// What a string allocates beside itself: short ones lie within.
ByteCount heap_bytes(std::string_view value) {
  return value.size() > std::string().capacity() ? value.size() + 1 : 0;
}

class ParquetColumn final : public TableColumn {
 public:
  explicit ParquetColumn(std::shared_ptr<const Opened> opened) : o_(std::move(opened)) {}

  Encoding encoding() const override {
    if (is_string(o_->column)) return Encoding::string;
    return o_->column.type == PhysicalType::boolean ? Encoding::boolean : Encoding::number;
  }
  NumericType number() const override { return number_type(o_->column); }
  const std::string& where() const override { return o_->where; }
  const std::string& dtype() const override { return o_->dtype; }
  bool ordered() const override { return false; }
  // Missing floats are NaN.
  bool masked() const override {
    return o_->may_be_null && encoding() != Encoding::number ? true : o_->may_be_null && o_->integer();
  }
  std::uint64_t size() const override { return o_->n_rows(); }
  Result<std::shared_ptr<const Categories>> categories(MemoryBudget&) const override {
    return Status::internal(o_->where + ": not a categorical");
  }
  std::uint64_t rows_at_once() const override {
    constexpr std::uint64_t kRows = 64 << 10;
    const std::uint64_t groups = o_->chunks.size() - 1;
    if (groups == 0) return kRows;
    const std::uint64_t per_group = std::max<std::uint64_t>(1, o_->rows(0));
    return per_group >= kRows ? per_group : kRows / per_group * per_group;
  }
  Result<Column> read(std::uint64_t first, std::uint64_t count, std::uint64_t) const override {
    Column out;
    // Of what is returned, until it is: the caller counts what it keeps.
    Held returned(*o_);
    const bool strings = encoding() == Encoding::string;
    const auto cells = checked_mul(count, (strings ? sizeof(std::string) : 8) + (masked() ? 1 : 0));
    PENSTOCK_RETURN_IF_ERROR(returned.charge(cells.value_or(~ByteCount{0} >> 2)));
    if (strings) out.strings.reserve(count);
    for (std::uint64_t row = first; row < first + count;) {
      const std::size_t g = o_->group_of(row);
      const std::uint64_t last = std::min(first + count, o_->chunks[g + 1].first_row);
      PENSTOCK_RETURN_IF_ERROR(
          read_group(g, row - o_->chunks[g].first_row, last - o_->chunks[g].first_row, returned, out));
      row = last;
    }
    if (count == 0) set_kind(out);
    return out;
  }
  std::shared_ptr<const ObsColumn> stream(std::uint64_t) const override {
    return std::make_shared<const StreamedColumn>(o_);
  }

 private:
  void set_kind(Column& out) const {
    switch (encoding()) {
      case Encoding::string:
        out.kind = Column::Kind::string;
        return;
      case Encoding::boolean:
        out.kind = Column::Kind::boolean;
        return;
      default:
        out.kind = o_->integer() ? Column::Kind::integer : Column::Kind::floating;
        out.is_unsigned = number() == NumericType::u64;
    }
  }

  // Rows [first, last) of a row group to the end of `out`; characters are charged to `returned`.
  Status read_group(std::size_t g, std::uint64_t first, std::uint64_t last, Held& returned,
                    Column& out) const {
    set_kind(out);
    const Chunk& chunk = o_->chunks[g];
    const std::uint64_t rows = o_->rows(g);
    const bool strings = encoding() == Encoding::string;
    const auto cells = checked_mul(rows, strings ? kStringRowBytes : 9);
    const ByteCount need =
        chunk.bytes + (strings ? 1 : 2) * chunk.uncompressed + cells.value_or(~ByteCount{0} >> 2);
    Held held(*o_);
    PENSTOCK_RETURN_IF_ERROR(held.charge(need));
    std::vector<std::byte> bytes(chunk.bytes), page(chunk.uncompressed);
    PENSTOCK_RETURN_IF_ERROR(o_->file->read_at(chunk.offset, bytes));
    CodecContext codec;
    const auto note = [&](bool present) {
      if (masked()) out.missing.push_back(present ? 0 : 1);
    };
    if (strings) {
      const StringSink sink{[&](ByteCount more) { return held.charge(more); },
                            [&](std::uint64_t row, bool present, std::string_view value) -> Status {
                              if (row < first || row >= last) return {};
                              PENSTOCK_RETURN_IF_ERROR(returned.charge(heap_bytes(value)));
                              out.strings.emplace_back(value);
                              note(present);
                              return {};
                            }};
      return decode_strings(o_->context(g), o_->column, bytes, chunk.offset, rows, page, codec, sink);
    }
    const std::size_t size = value_bytes(o_->column);
    std::vector<std::byte> dictionary(chunk.uncompressed), values(rows * size);
    std::vector<std::uint8_t> levels(rows);
    PENSTOCK_RETURN_IF_ERROR(decode_numbers(o_->context(g), o_->column, bytes, chunk.offset, rows,
                                            {page, dictionary, values, levels}, codec));
    for (std::uint64_t row = first; row < last; ++row) {
      const std::byte* from = values.data() + row * size;
      const bool present = levels[row] != 0;
      if (out.kind == Column::Kind::boolean) {
        out.booleans.push_back(static_cast<std::uint8_t>(from[0]));
      } else if (out.kind == Column::Kind::floating) {
        double value = std::numeric_limits<double>::quiet_NaN();
        if (present) to_double(number(), from, {&value, 1});
        out.floats.push_back(value);
      } else {
        std::int64_t value = 0;
        to_int64(o_->column.type == PhysicalType::int64 ? NumericType::i64
                 : o_->column.is_signed                 ? NumericType::i32
                                                        : NumericType::u32,
                 from, {&value, 1});
        out.integers.push_back(value);
      }
      note(present);
    }
    return {};
  }

  const std::shared_ptr<const Opened> o_;
};

std::string dtype_of(const Leaf& column, bool may_be_null) {
  if (is_string(column)) return "string";
  if (column.type == PhysicalType::boolean) return may_be_null ? "nullable-boolean" : "bool";
  if (is_integer_type(column.type))
    return may_be_null ? "nullable-integer" : numeric_name(integer_type(column));
  return numeric_name(number_type(column));
}

// A bound as people write it.
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
      to_int64(wide               ? NumericType::i64
               : column.is_signed ? NumericType::i32
                                  : NumericType::u32,
               from, {&value, 1});
      return integer_text(value, wide && !column.is_signed);
    }
    case PhysicalType::float32:
    case PhysicalType::float64: {
      double value = 0;
      to_double(column.type == PhysicalType::float32 ? NumericType::f32 : NumericType::f64, from,
                {&value, 1});
      return float_text(value);
    }
    default:
      return std::nullopt;
  }
}

class ParquetTable final : public Table {
 public:
  ParquetTable(std::shared_ptr<const File> file, const FileMetadata& metadata,
               std::shared_ptr<MemoryBudget> budget, const TableOptions& options)
      : file_(std::move(file)), budget_(std::move(budget)), n_rows_(metadata.n_rows), index_(options.index) {
    const PandasIndex index = pandas_index(metadata);
    first_ = index.start;
    step_ = index.step;
    if (index_.empty() && index.columns.size() == 1) index_ = index.columns.front();
    for (const Leaf& column : metadata.columns) {
      if (column.shape != Leaf::Shape::flat || options.leave_out.count(column.name) > 0) continue;
      if (column.name != index_) names_.push_back(column.name);
      has_index_ |= column.name == index_;
    }
  }

  std::uint64_t n_rows() const override { return n_rows_; }
  const std::vector<std::string>& columns() const override { return names_; }
  bool has(const std::string& name) const override {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }
  Result<std::shared_ptr<const TableColumn>> index() const override {
    if (!has_index_) return numbered_rows(n_rows_, where(), first_, step_);
    return open(index_);
  }
  Result<std::shared_ptr<const TableColumn>> column(const std::string& name) const override {
    if (!has(name) && !(has_index_ && name == index_)) {
      return Status::not_found(
          fmt::format("{}: no column '{}'; it has: {}", where(), name, fmt::join(names_, ", ")));
    }
    return open(name);
  }
  ColumnInfo info(const std::string& name) const override {
    ColumnInfo out;
    out.name = name;
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
    PENSTOCK_ASSIGN_OR_RETURN(const auto metadata, read_metadata(*file_, *budget_));
    const Leaf* column = metadata->find(name);
    if (column == nullptr || !has(name)) {
      return Status::not_found(
          fmt::format("{}: no column '{}'; it has: {}", where(), name, fmt::join(names_, ", ")));
    }
    std::vector<ColumnBounds> out;
    for (const RowGroup& group : metadata->row_groups) {
      const Statistics& s = group.columns[metadata->index_of(*column)].statistics;
      out.push_back({{group.first_row, group.first_row + group.n_rows},
                     bound_text(*column, s.min),
                     bound_text(*column, s.max),
                     s.null_count});
    }
    return out;
  }
  std::string where() const override { return file_->label(); }

 private:
  Result<std::shared_ptr<const TableColumn>> open(const std::string& name) const {
    PENSTOCK_ASSIGN_OR_RETURN(const auto metadata, read_metadata(*file_, *budget_));
    const Leaf* column = metadata->find(name);
    auto out = std::make_shared<Opened>();
    out->where = fmt::format("{}: {}", where(), name);
    if (column == nullptr || metadata->n_rows != n_rows_) {
      return Status::io_error(out->where + ": the file changed since it was opened");
    }
    if (const std::string why = unusable(*column); !why.empty()) {
      return Status::unsupported(out->where + ": " + why);
    }
    const std::size_t number = metadata->index_of(*column);
    PENSTOCK_ASSIGN_OR_RETURN(out->held, reserve_for(out->where, *budget_, MemoryTag::obs,
                                                     (metadata->row_groups.size() + 1) * sizeof(Chunk)));
    out->chunks.reserve(metadata->row_groups.size() + 1);
    bool known = true;
    for (const RowGroup& group : metadata->row_groups) {
      const ColumnChunk& chunk = group.columns[number];
      if (!is_readable(chunk.codec)) {
        return Status::unsupported(
            fmt::format("{}: {} compression", out->where, compression_name(chunk.codec)));
      }
      if (!out->chunks.empty() && chunk.codec != out->codec) {
        return Status::unsupported(
            fmt::format("{}: row groups are compressed in different ways", out->where));
      }
      if (chunk.n_values != group.n_rows) {
        return Status::corrupt(
            fmt::format("{}: {} values in a row group of {} rows", out->where, chunk.n_values, group.n_rows));
      }
      out->codec = chunk.codec;
      // Uncompressed pages need no scratch, but a dictionary is copied.
      const ByteCount most = max_decompressed(chunk.codec, chunk.bytes);
      const ByteCount limit = file_->size() - 8;
      out->chunks.push_back(
          {group.first_row, chunk.offset,
           std::min<ByteCount>(chunk.bytes + kUndeclaredBytes, limit - std::min(limit, chunk.offset)),
           std::min(std::max(chunk.uncompressed, chunk.bytes), std::max(most, chunk.bytes))});
      known &= chunk.statistics.null_count.has_value();
      out->nulls += chunk.statistics.null_count.value_or(0);
    }
    out->chunks.push_back({n_rows_, 0, 0, 0});
    out->may_be_null = column->max_def > 0 && (!known || out->nulls > 0);
    out->file = file_;
    out->budget = budget_;
    out->column = *column;
    out->dtype = dtype_of(*column, out->may_be_null);
    return std::shared_ptr<const TableColumn>(std::make_shared<const ParquetColumn>(std::move(out)));
  }

  const std::shared_ptr<const File> file_;
  const std::shared_ptr<MemoryBudget> budget_;
  const std::uint64_t n_rows_;
  std::string index_;
  bool has_index_ = false;
  std::int64_t first_ = 0, step_ = 1;  // numbers of the rows without one
  std::vector<std::string> names_;
};

}  // namespace

std::shared_ptr<const Table> make_table(std::shared_ptr<const File> file, const FileMetadata& metadata,
                                        std::shared_ptr<MemoryBudget> budget, const TableOptions& options) {
  return std::make_shared<const ParquetTable>(std::move(file), metadata, std::move(budget), options);
}

}  // namespace penstock::parquet
