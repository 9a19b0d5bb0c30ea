// What one column of a matrix is made of, and whether it can be read at all. Everything that could go wrong
// with any page of it for reasons that the footer tells (its type, its codec, its number of elements) is
// refused here, when the file is opened and not in the middle of an epoch.
#include "parquet/matrix_column.h"

#include <fmt/format.h>

#include "parquet/column_target.h"

namespace penstock::parquet {
namespace {
constexpr std::uint64_t kMostElements = 0xffffffff;  // of a column chunk: positions are 32 bits
}

std::string MatrixColumn::describe() const {
  return fmt::format("{} {}", column.name,
                     column.logical_text.empty() ? physical_name(column.type) : column.logical_text.c_str());
}

Result<MatrixColumn> open_matrix_column(const FileMetadata& metadata, std::size_t number, Leaf::Shape shape,
                                        bool integers) {
  MatrixColumn out;
  out.number = number;
  out.column = metadata.columns[number];
  const std::string where = fmt::format("{}: column {}", metadata.label, out.column.path);
  if (out.column.shape != shape) {
    return Status::unsupported(fmt::format(
        "{} is not a {}", where, shape == Leaf::Shape::list ? "list of numbers" : "column of numbers"));
  }
  PENSTOCK_ASSIGN_OR_RETURN(out.stored, matrix_type(out.column, where));
  if (integers && is_floating(out.stored)) {
    return Status::unsupported(
        fmt::format("{} holds {}: integers are needed", where, physical_name(out.column.type)));
  }
  ByteCount stored = 0, uncompressed = 0;
  for (std::size_t g = 0; g < metadata.row_groups.size(); ++g) {
    const ColumnChunk& chunk = metadata.row_groups[g].columns[number];
    if (chunk.n_values > kMostElements) {
      return Status::unsupported(fmt::format("{}: a row group with {} elements; at most {} are read", where,
                                             format_count(chunk.n_values), format_count(kMostElements)));
    }
    if (!is_readable(chunk.codec)) {
      return Status::unsupported(fmt::format("{}: {} compression (codec {})", where,
                                             compression_name(chunk.codec), chunk.codec_number));
    }
    // One codec for all row groups, so that one page's scratch and one context of a codec serve the column.
    if (g == 0) out.codec = chunk.codec;
    if (chunk.codec != out.codec) {
      return Status::unsupported(fmt::format("{}: row group {} is compressed with {}, the first with {}",
                                             where, g, compression_name(chunk.codec),
                                             compression_name(out.codec)));
    }
    stored += chunk.bytes;
    uncompressed += chunk.uncompressed;
  }
  // How much decoding a block takes is planned from stored bytes (MatrixSource::cost()); a row group's own
  // numbers would be more exact, and cost 8 bytes each.
  if (stored > 0) out.expansion = static_cast<double>(uncompressed) / static_cast<double>(stored);
  return out;
}

}  // namespace penstock::parquet
