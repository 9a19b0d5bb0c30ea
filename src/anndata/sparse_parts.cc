// A sparse matrix in a file (formats.md, 2.1 and 2.3), here with 4 rows and 12 entries:
//
//     data      float32[12]    values
//     indices   int32[12]      the column of each
//     indptr    int32[5]       0 3 6 8 12: row i has elements [indptr[i], indptr[i + 1])
//
// What is checked here are types and lengths, from metadata alone. indptr is checked by scan_indptr(), column
// numbers by who receives the rows.
#include "anndata/sparse_parts.h"

#include <fmt/format.h>

#include "base/checked.h"
#include "source/numbers.h"

namespace penstock::anndata {

namespace {

Status check_numbers(const store::Array& array, bool integers) {
  if (array.shape().size() != 1) {
    return Status::corrupt(fmt::format("{}: {} dimensions, expected 1", array.where(), array.shape().size()));
  }
  const store::DataType& type = array.dtype();
  if (type.cls != store::TypeClass::number || (integers && is_floating(type.number))) {
    return Status::unsupported(fmt::format("{}: elements of type {}, expected {}", array.where(),
                                           type.description, integers ? "integers" : "numbers"));
  }
  return {};
}

std::string grid_text(const store::Array& array) {
  return array.is_chunked() ? format_count(array.chunk_elements()) : std::string("one piece");
}

}  // namespace

Status check_sparse(const CsrParts& parts, std::uint64_t along, std::string_view what) {
  PENSTOCK_RETURN_IF_ERROR(check_numbers(*parts.data, false));
  PENSTOCK_RETURN_IF_ERROR(check_numbers(*parts.indices, true));
  PENSTOCK_RETURN_IF_ERROR(check_numbers(*parts.indptr, true));
  if (parts.data->size() != parts.indices->size()) {
    return Status::corrupt(fmt::format("{}: data has {} elements and indices {}", parts.label,
                                       parts.data->size(), parts.indices->size()));
  }
  // Row numbers are held in 32 bits (row_table.h), and n_rows itself must be one of them.
  if (parts.n_rows >= 0xffffffffu) {
    return Status::unsupported(
        fmt::format("{}: {} rows in one file; fewer than 2^32 - 1 are read", parts.label, parts.n_rows));
  }
  // `along` is what an attribute says, and may be 2^64 - 1.
  const auto offsets = checked_add(along, 1);
  if (!offsets || parts.indptr->size() != *offsets) {
    return Status::corrupt(fmt::format("{}: indptr has {} elements, expected {} ({} + 1)", parts.label,
                                       parts.indptr->size(), offsets.value_or(along), what));
  }
  return {};
}

std::string describe_sparse(std::string_view format, const CsrParts& parts) {
  const store::Array &data = *parts.data, &indices = *parts.indices;
  std::string text = fmt::format("{} {}/{}, ", format, numeric_name(data.dtype().number),
                                 numeric_name(indices.dtype().number));
  if (!data.is_chunked() && !indices.is_chunked()) return text + "contiguous";
  text += "chunks of " + grid_text(data);
  if (grid_text(data) != grid_text(indices)) text += " and " + grid_text(indices);
  return text + ", " + (data.is_chunked() ? data : indices).filters().describe();
}

}  // namespace penstock::anndata
