// Opening an obs or var column: what type it has for the rest of the program, and where its chunks lie. No
// page is read. Whether values are missing follows from the statistics of the row groups, where they count
// nulls: a column that may have nulls and has none is an ordinary one, and keeps its integer type in batches.
#include "parquet/flat_column.h"

#include <fmt/format.h>

#include <algorithm>

#include "codecs/compression.h"
#include "memory/reserve_for.h"

namespace penstock::parquet {
namespace {

// Why a column cannot be read; empty when it can.
std::string unusable(const Leaf& c) {
  if (is_string(c) || c.type == PhysicalType::boolean) return {};
  if (c.type == PhysicalType::float32 || c.type == PhysicalType::float64) return {};
  if (is_integer(c) &&
      (c.logical == Logical::none || c.logical == Logical::integer || c.logical == Logical::temporal)) {
    return {};
  }
  return fmt::format("{}{} is not read", physical_name(c.type),
                     c.logical_text.empty() ? "" : " (" + c.logical_text + ")");
}

std::string dtype_of(const Leaf& column, bool may_be_null) {
  if (is_string(column)) return "string";
  if (column.type == PhysicalType::boolean) return may_be_null ? "nullable-boolean" : "bool";
  if (is_integer(column) && may_be_null) return "nullable-integer";
  return numeric_name(number_type(column));
}

}  // namespace

// A byte array without a logical type is text as a rule, from writers that leave the type out; one with
// another type is something else.
bool is_string(const Leaf& column) {
  return column.type == PhysicalType::byte_array &&
         (column.logical == Logical::string || column.logical == Logical::none);
}

// INT_8 to UINT_16 are stored as int32; `bits` says what they were.
NumericType number_type(const Leaf& c) {
  if (c.type == PhysicalType::float32) return NumericType::f32;
  if (c.type == PhysicalType::float64) return NumericType::f64;
  if (c.logical != Logical::integer) {
    return c.type == PhysicalType::int32 ? NumericType::i32 : NumericType::i64;
  }
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

// The bits of a uint64 pass as an int64: who reads them knows which they are from number_type().
NumericType stored_integer_type(const Leaf& column) {
  if (column.type == PhysicalType::int64) return NumericType::i64;
  return column.is_signed ? NumericType::i32 : NumericType::u32;
}

Result<std::shared_ptr<const FlatColumn>> open_flat_column(std::shared_ptr<const File> file,
                                                           std::shared_ptr<MemoryBudget> budget,
                                                           const FileMetadata& metadata, const Leaf& column,
                                                           std::string where) {
  auto out = std::make_shared<FlatColumn>();
  out->where = std::move(where);
  if (const std::string why = unusable(column); !why.empty()) {
    return Status::unsupported(out->where + ": " + why);
  }
  const std::size_t number = metadata.index_of(column), n_groups = metadata.row_groups.size();
  PENSTOCK_ASSIGN_OR_RETURN(out->held,
                            reserve_for(out->where, *budget, MemoryTag::obs,
                                        (n_groups + 1) * (sizeof(FlatColumn::Chunk) + sizeof(RowIndex))));
  out->groups.reserve(n_groups);
  out->chunks.reserve(n_groups);
  bool known = true;
  std::uint64_t nulls = 0;
  for (const RowGroup& group : metadata.row_groups) {
    const ColumnChunk& chunk = group.columns[number];
    if (!is_readable(chunk.codec)) {
      return Status::unsupported(
          fmt::format("{}: {} compression", out->where, compression_name(chunk.codec)));
    }
    // One codec a column, so that the scratch and the context of one page serve all of them.
    if (!out->chunks.empty() && chunk.codec != out->codec) {
      return Status::unsupported(fmt::format("{}: row groups are compressed in different ways", out->where));
    }
    if (chunk.n_values != group.n_rows) {
      return Status::corrupt(
          fmt::format("{}: {} values in a row group of {} rows", out->where, chunk.n_values, group.n_rows));
    }
    out->codec = chunk.codec;
    // Uncompressed pages need no scratch, but a dictionary is copied.
    const ByteCount limit = file->size() - 8;  // the footer's length and the file's last four letters
    out->groups.add(group.first_row);
    out->chunks.push_back(
        {chunk.offset,
         std::min<ByteCount>(chunk.bytes + kUndeclaredBytes, limit - std::min(limit, chunk.offset)),
         std::max(chunk.uncompressed, chunk.bytes)});
    const auto& counted = group.statistics[number].null_count;
    // One row group without a count, and nulls cannot be ruled out.
    known &= counted.has_value();
    nulls += counted.value_or(0);
  }
  out->groups.add(metadata.n_rows);
  out->may_be_null = column.max_def > 0 && (!known || nulls > 0);
  out->dtype = dtype_of(column, out->may_be_null);
  out->file = std::move(file);
  out->budget = std::move(budget);
  out->column = column;
  return std::shared_ptr<const FlatColumn>(std::move(out));
}

}  // namespace penstock::parquet
