// Reads rows of obs and var columns into memory, row group by row group. The pages of such a column are not
// looked at when it is opened, so that nobody knows which of them some rows are in: a row group is decoded
// whole, and what was not asked for is left out. rows_at_once() tells callers to ask in such steps; otherwise
// each step would decode a group anew.
//
// Two things are charged: what the decoding of one group takes, and what is returned, as it grows. A short
// page can spell long strings, so that those are charged one by one.
#include "parquet/column_reader.h"

#include <algorithm>
#include <limits>

#include "base/checked.h"
#include "memory/growing.h"
#include "parquet/flat_chunk.h"
#include "source/numbers.h"

namespace penstock::parquet {
namespace {

void set_kind(const FlatColumn& column, Column& out) {
  if (is_string(column.column)) {
    out.kind = Column::Kind::string;
  } else if (column.column.type == PhysicalType::boolean) {
    out.kind = Column::Kind::boolean;
  } else {
    out.kind = is_integer(column.column) ? Column::Kind::integer : Column::Kind::floating;
    out.is_unsigned = number_type(column.column) == NumericType::u64;
  }
}

// The value at `from` (nothing when it is missing) to the end of a column that is no string.
void append(const FlatColumn& column, bool present, const std::byte* from, Column& out) {
  switch (out.kind) {
    case Column::Kind::boolean:
      out.booleans.push_back(static_cast<std::uint8_t>(from[0]));
      return;
    // A missing float is NaN, which a column of floats can hold. For the other kinds `missing` says so beside
    // the value, which means nothing then.
    case Column::Kind::floating: {
      double value = std::numeric_limits<double>::quiet_NaN();
      if (present) to_double(number_type(column.column), from, {&value, 1});
      out.floats.push_back(value);
      return;
    }
    default: {
      std::int64_t value = 0;
      to_int64(stored_integer_type(column.column), from, {&value, 1});
      out.integers.push_back(value);
    }
  }
}

// Reads row groups one after the other.
class Reader {
 public:
  Reader(const FlatColumn& column, Column& out)
      : column_(column), returned_(column.where, *column.budget, MemoryTag::scratch), out_(out) {
    set_kind(column, out);
  }

  // A count that overflows is charged with an amount that fits no budget.
  Status reserve(std::uint64_t count) {
    const bool strings = out_.kind == Column::Kind::string;
    const auto cells = checked_mul(count, (strings ? sizeof(std::string) : 8) + (column_.masked() ? 1 : 0));
    PENSTOCK_RETURN_IF_ERROR(returned_.add(cells.value_or(~ByteCount{0} >> 2)));
    // Room for just these: a vector that grows holds half as much again, and its old self beside.
    switch (out_.kind) {
      case Column::Kind::string:
        out_.strings.reserve(count);
        break;
      case Column::Kind::boolean:
        out_.booleans.reserve(count);
        break;
      case Column::Kind::floating:
        out_.floats.reserve(count);
        break;
      default:
        out_.integers.reserve(count);
    }
    if (column_.masked()) out_.missing.reserve(count);
    return {};
  }

  // Rows [first, last) of a row group to the end of the column.
  Status group(std::size_t g, std::uint64_t first, std::uint64_t last) {
    const FlatColumn::Chunk& chunk = column_.chunks[g];
    const std::uint64_t rows = column_.groups.size(g);
    const bool strings = out_.kind == Column::Kind::string;
    // Numbers: up to 8 bytes of a value and one of its level. The dictionary and a page are each as long as
    // the chunk uncompressed, at most.
    const auto cells = checked_mul(rows, strings ? kStringRowBytes : 9);
    Growing held(column_.where, *column_.budget, MemoryTag::scratch);
    PENSTOCK_RETURN_IF_ERROR(
        held.add(chunk.bytes + (strings ? 1 : 2) * chunk.uncompressed + cells.value_or(~ByteCount{0} >> 2)));
    std::vector<std::byte> bytes(chunk.bytes), page(chunk.uncompressed);
    PENSTOCK_RETURN_IF_ERROR(column_.file->read_at(chunk.offset, bytes));
    CodecContext codec;
    if (strings) {
      const StringSink sink{[&](ByteCount more) { return held.add(more); },
                            [&](std::uint64_t row, bool present, std::string_view value) -> Status {
                              // Strings of a dictionary page were charged before by `charge`; here it is
                              // their copies that are returned.
                              if (row < first || row >= last) return {};
                              PENSTOCK_RETURN_IF_ERROR(returned_.add(heap_bytes(value)));
                              out_.strings.emplace_back(value);
                              note(present);
                              return {};
                            }};
      return decode_strings(column_.context(g), column_.column, bytes, chunk.offset, rows, page, codec, sink);
    }
    const std::size_t size = value_bytes(column_.column);
    std::vector<std::byte> dictionary(chunk.uncompressed), values(rows * size);
    std::vector<std::uint8_t> levels(rows);
    PENSTOCK_RETURN_IF_ERROR(decode_numbers(column_.context(g), column_.column, bytes, chunk.offset, rows,
                                            {page, dictionary, values, levels}, codec));
    for (std::uint64_t row = first; row < last; ++row) {
      append(column_, levels[row] != 0, values.data() + row * size, out_);
      note(levels[row] != 0);
    }
    return {};
  }

 private:
  void note(bool present) {
    if (column_.masked()) out_.missing.push_back(present ? 0 : 1);
  }

  const FlatColumn& column_;
  // Of what is returned, until it is: the caller counts what it keeps.
  Growing returned_;
  Column& out_;
};

}  // namespace

std::uint64_t rows_at_once(const FlatColumn& column) {
  constexpr std::uint64_t kRows = 64 << 10;
  if (column.groups.n_groups() == 0) return kRows;
  // The first row group speaks for the others: writers make them alike, except for the last.
  const std::uint64_t per_group = std::max<std::uint64_t>(1, column.groups.size(0));
  return per_group >= kRows ? per_group : kRows / per_group * per_group;
}

Result<Column> read_rows(const FlatColumn& column, std::uint64_t first, std::uint64_t count) {
  Column out;
  Reader reader(column, out);
  PENSTOCK_RETURN_IF_ERROR(reader.reserve(count));
  for (std::uint64_t row = first; row < first + count;) {
    const std::size_t g = column.groups.group_of(row);
    const std::uint64_t begin = column.groups.first(g), last = std::min(first + count, column.groups.end(g));
    PENSTOCK_RETURN_IF_ERROR(reader.group(g, row - begin, last - begin));
    row = last;
  }
  return out;
}

}  // namespace penstock::parquet
