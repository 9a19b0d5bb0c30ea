// An obs column that travels with the rows of a block: fetched with it, decoded into scratch, and turned into
// one value a row. The kind of value is decided once for the file (kind_of()), so that batches of all blocks
// look alike, whichever of them happens to have missing values: integers that may be missing travel as
// float64, with NaN.
#include "parquet/stream_column.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/carver.h"
#include "base/load.h"
#include "parquet/flat_chunk.h"
#include "source/label_integers.h"

namespace penstock::parquet {
namespace {

ObsKind kind_of(const FlatColumn& column) {
  switch (column.column.type) {
    case PhysicalType::boolean:
      return column.may_be_null ? ObsKind::floating64 : ObsKind::boolean;
    case PhysicalType::float32:
      return ObsKind::floating32;
    case PhysicalType::float64:
      return ObsKind::floating64;
    default:
      return column.may_be_null ? ObsKind::floating64 : ObsKind::integer;  // missing = NaN
  }
}

class StreamColumn final : public ObsColumn {
 public:
  explicit StreamColumn(std::shared_ptr<const FlatColumn> column)
      : column_(std::move(column)), kind_(kind_of(*column_)) {
    for (std::size_t g = 0; g < column_->chunks.size(); ++g) {
      largest_ = std::max(largest_, column_->chunks[g].uncompressed);
      most_rows_ = std::max(most_rows_, column_->groups.size(g));
    }
  }

  ObsKind kind() const override { return kind_; }
  RowIndex n_rows() const override { return column_->n_rows(); }
  bool streamable() const override { return true; }

  Status requests(RowRange rows, RequestList& list) const override {
    if (rows.size() == 0) return {};
    column_->groups.for_each_group({&rows, 1}, [&](std::size_t g, std::span<const RowRange>) {
      list.add(column_->file.get(), column_->chunks[g].offset, column_->chunks[g].bytes);
      return true;
    });
    return {};
  }

  ByteCount scratch_bytes(RowIndex) const override {
    Carver measured;
    carve(measured);
    return measured.used();
  }

  Status decode(RowRange rows, const Fetched& fetched, Scratch& scratch,
                std::span<std::byte> out) const override {
    const std::size_t item = obs_value_bytes(kind_);
    if (scratch.bytes.size() < scratch_bytes(0) || out.size() != rows.size() * item || rows.last > n_rows()) {
      return Status::internal(column_->where + ": scratch or output of another size");
    }
    Carver carver(scratch.bytes.data());
    const FlatMemory memory = carve(carver);
    for (RowIndex row = rows.first; row < rows.last;) {
      const std::size_t g = column_->groups.group_of(row);
      const FlatColumn::Chunk& chunk = column_->chunks[g];
      const RowIndex first = column_->groups.first(g);
      const auto bytes = fetched.find(column_->file.get(), chunk.offset, chunk.bytes);
      if (bytes.size() != chunk.bytes) return Status::internal(column_->where + ": bytes were not fetched");
      PENSTOCK_RETURN_IF_ERROR(decode_numbers(column_->context(g), column_->column, bytes, chunk.offset,
                                              column_->groups.size(g), memory, *scratch.codec));
      const RowIndex last = std::min(rows.last, column_->groups.end(g));
      PENSTOCK_RETURN_IF_ERROR(check_exact(memory, {row, last}, first));
      for (; row < last; ++row) {
        store(memory, row - first, out.data() + (row - rows.first) * item);
      }
    }
    return {};
  }

 private:
  // A row group is decoded whole, whatever rows are wanted of it: where its pages lie is not known before
  // they are looked at, one after the other. So the scratch is sized by the largest row group.
  FlatMemory carve(Carver& memory) const {
    FlatMemory out;
    out.page = memory.bytes(largest_);
    out.dictionary = memory.bytes(largest_);
    out.values = memory.bytes(most_rows_ * 8);
    out.levels = memory.array<std::uint8_t>(most_rows_);
    return out;
  }

  std::int64_t integer_at(const std::byte* from) const {
    switch (stored_integer_type(column_->column)) {
      case NumericType::i64:
        return load<std::int64_t>(from);
      case NumericType::u32:
        return load<std::uint32_t>(from);
      default:
        return load<std::int32_t>(from);
    }
  }

  // Whether the integers among these rows fit the kind of label that they become.
  // A label that is wrong is worse than none. A uint64 beyond int64, or an integer that a float64 rounds, is
  // refused with its row.
  Status check_exact(const FlatMemory& memory, RowRange rows, RowIndex first_row) const {
    if (column_->column.type != PhysicalType::int64) return {};
    const NumericType type = number_type(column_->column);
    if (type == NumericType::i64 && kind_ == ObsKind::integer) return {};
    for (RowIndex row = rows.first; row < rows.last; ++row) {
      const RowIndex i = row - first_row;
      // What stands in place of a missing value is no value.
      if (memory.levels[i] == 0) continue;
      const auto value = load<std::int64_t>(memory.values.data(), i);
      PENSTOCK_RETURN_IF_ERROR(check_label_integer(column_->where, row, value, type, kind_));
    }
    return {};
  }

  void store(const FlatMemory& memory, std::uint64_t i, std::byte* out) const {
    const std::byte* from = memory.values.data() + i * value_bytes(column_->column);
    const bool present = memory.levels[i] != 0;
    const auto put = [&](auto value) { std::memcpy(out, &value, sizeof(value)); };
    switch (kind_) {
      case ObsKind::boolean:
        return put(static_cast<std::uint8_t>(from[0]));
      case ObsKind::floating32:
        return put(present ? load<float>(from) : std::numeric_limits<float>::quiet_NaN());
      case ObsKind::integer:
        return put(integer_at(from));
      default:
        return put(present ? double_at(from) : std::numeric_limits<double>::quiet_NaN());
    }
  }

  double double_at(const std::byte* from) const {
    switch (column_->column.type) {
      case PhysicalType::float64:
        return load<double>(from);
      case PhysicalType::boolean:
        return from[0] != std::byte{0} ? 1 : 0;
      default:
        return static_cast<double>(integer_at(from));
    }
  }

  const std::shared_ptr<const FlatColumn> column_;
  const ObsKind kind_;
  ByteCount largest_ = 0;
  RowIndex most_rows_ = 0;
};

}  // namespace

std::shared_ptr<const ObsColumn> stream_column(std::shared_ptr<const FlatColumn> column) {
  return std::make_shared<const StreamColumn>(std::move(column));
}

}  // namespace penstock::parquet
