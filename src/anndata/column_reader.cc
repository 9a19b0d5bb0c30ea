// Values of opened columns, in memory. A stored column comes in the types of the file (int8 codes, float16,
// an enum for booleans) and leaves in those of penstock::Column: 32-bit codes, int64, double, bytes of 0 or
// 1, texts. Everything that a value could be wrong in is looked at here, and the message names the row.
#include "anndata/column_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <new>
#include <stdexcept>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "source/column_text.h"
#include "source/numbers.h"

namespace penstock::anndata {

namespace {

using Encoding = FrameColumn::Encoding;

// What the system refuses is told as a refusal of the budget: to a user both are a lack of memory.
Status no_memory(const FrameColumn& column) {
  return Status::budget(column.where + ": the system has no memory for its values");
}

Result<std::vector<std::byte>> read_raw(const store::Array& array, std::uint64_t first, std::uint64_t count) {
  const auto bytes = checked_mul(count, array.dtype().size);
  if (!bytes) return Status::corrupt(array.where() + ": larger than memory");
  // Many elements out of a small file are no contradiction: what was never written is the fill value. So it
  // is the caller who bounds `count`, and a refusal of the system is caught below.
  std::vector<std::byte> raw(*bytes);
  PENSTOCK_RETURN_IF_ERROR(array.read_range(first, count, raw));
  return raw;
}

Status read_flags(const store::Array& array, std::uint64_t first, std::uint64_t count,
                  std::vector<std::uint8_t>& out) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto raw, read_raw(array, first, count));
  const std::size_t item = array.dtype().size;
  out.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    // Flags are bytes in every file seen. Of a wider one no byte may be lost.
    const auto* element = raw.data() + i * item;
    out[i] = std::any_of(element, element + item, [](std::byte b) { return b != std::byte{0}; }) ? 1 : 0;
  }
  return {};
}

Status read_numbers(const store::Array& array, std::uint64_t first, std::uint64_t count, Column& column) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto raw, read_raw(array, first, count));
  const NumericType type = array.dtype().number;
  if (is_floating(type)) {
    column.kind = Column::Kind::floating;
    column.floats.resize(count);
    to_double(type, raw.data(), column.floats);
  } else {
    column.kind = Column::Kind::integer;
    column.is_unsigned = type == NumericType::u64;
    column.integers.resize(count);
    // A uint64 keeps its bits, and is_unsigned says how they are to be read.
    to_int64(type, raw.data(), column.integers);
  }
  return {};
}

Status read_codes(const FrameColumn& from, std::uint64_t first, std::uint64_t count,
                  std::uint64_t n_categories, Column& column) {
  const NumericType type = from.values->dtype().number;
  PENSTOCK_ASSIGN_OR_RETURN(const auto raw, read_raw(*from.values, first, count));
  std::vector<std::int64_t> codes(count);
  to_int64(type, raw.data(), codes);
  column.kind = Column::Kind::categorical;
  column.codes.resize(count);
  // Codes are 32 bits from here on. -1 stands for a missing value (formats.md, 2.1); any other number outside
  // of the list would be looked up behind the end of the names.
  const auto limit = static_cast<std::int64_t>(std::min<std::uint64_t>(n_categories, 0x7fffffff));
  for (std::size_t i = 0; i < count; ++i) {
    if (codes[i] < -1 || codes[i] >= limit) {
      return Status::corrupt(fmt::format("{}: the code of row {} is {}, expected -1 to {}", from.where,
                                         first + i, codes[i], limit - 1));
    }
    column.codes[i] = static_cast<std::int32_t>(codes[i]);
  }
  return {};
}

bool any_missing(const Column& column) {
  return std::any_of(column.missing.begin(), column.missing.end(), [](std::uint8_t m) { return m != 0; });
}

}  // namespace

std::uint64_t rows_at_once(const FrameColumn& column) {
  // Chunks of 10,000 rows: six at a time. Chunks of 100,000 rows: one, because half of it would be decoded
  // twice.
  constexpr std::uint64_t kRows = 64 << 10;
  if (!column.values->is_chunked()) return kRows;
  const std::uint64_t chunk = std::max<std::uint64_t>(column.values->chunk_elements(), 1);
  return chunk >= kRows ? chunk : kRows / chunk * chunk;
}

Result<Column> read_rows(const FrameColumn& from, std::uint64_t first, std::uint64_t count,
                         std::uint64_t n_categories) {
  try {
    Column column;
    switch (from.encoding) {
      case Encoding::categorical:
        PENSTOCK_RETURN_IF_ERROR(read_codes(from, first, count, n_categories, column));
        break;
      case Encoding::number:
      case Encoding::nullable_number:
        PENSTOCK_RETURN_IF_ERROR(read_numbers(*from.values, first, count, column));
        break;
      case Encoding::boolean:
      case Encoding::nullable_boolean:
        column.kind = Column::Kind::boolean;
        PENSTOCK_RETURN_IF_ERROR(read_flags(*from.values, first, count, column.booleans));
        break;
      case Encoding::string:
      case Encoding::nullable_string:
        column.kind = Column::Kind::string;
        PENSTOCK_ASSIGN_OR_RETURN(column.strings, from.values->read_strings(first, count));
        break;
    }
    // What lies in the values where the mask is set stays there; who reads a column looks at `missing` first.
    if (from.mask) PENSTOCK_RETURN_IF_ERROR(read_flags(*from.mask, first, count, column.missing));
    return column;
  } catch (const std::bad_alloc&) {
    return no_memory(from);
  } catch (const std::length_error&) {
    return no_memory(from);
  }
}

Result<std::shared_ptr<const Categories>> read_categories(const FrameColumn& column, MemoryBudget& budget) {
  auto result = std::make_shared<Categories>();
  const FrameColumn& list = *column.categories;
  // No code of 32 bits could name more.
  if (list.size() > 0x7ffffffe) return Status::unsupported(column.where + ": 2^31 categories or more");
  // Fill values make a list longer than its file; it must fit as empty strings before anything is allocated.
  PENSTOCK_ASSIGN_OR_RETURN(
      result->held, reserve_for(list.where, budget, MemoryTag::obs, list.size() * sizeof(std::string)));
  // 0 categories: a list is itself no categorical.
  PENSTOCK_ASSIGN_OR_RETURN(auto values, read_rows(list, 0, list.size(), 0));
  if (any_missing(values)) return Status::corrupt(list.where + ": a category is missing");
  result->kind = values.kind;
  // Lists of numbers and booleans become texts too, and `kind` remembers what they were.
  result->names = texts_of(std::move(values));
  PENSTOCK_RETURN_IF_ERROR(
      resize_for(list.where, budget, result->held, MemoryTag::obs, string_bytes(result->names)));
  return std::shared_ptr<const Categories>(std::move(result));
}

}  // namespace penstock::anndata
