#include "loader/encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/checked.h"

namespace penstock::loader {
namespace {
constexpr std::uint64_t kAlign = 64;
ByteCount part(std::uint64_t n, std::uint64_t item) { return round_up(n * item + kAlign, kAlign); }
}  // namespace

ByteCount RowEncoder::bytes_needed(std::uint64_t longest_row, ColIndex n_cols, NumericType output) {
  return part(longest_row, id_bytes(n_cols)) + part(longest_row, 8) +
         2 * part(longest_row, numeric_size(output)) +
         round_up(batch::sort_scratch_bytes(longest_row), kAlign);
}

RowEncoder::RowEncoder(std::span<std::byte> buffer, std::uint64_t longest_row, ColIndex n_cols,
                       NumericType output)
    : n_cols_(n_cols), output_(output), longest_(longest_row) {
  PENSTOCK_CHECK(buffer.size() >= bytes_needed(longest_row, n_cols, output));
  std::byte* p = buffer.data();
  const auto carve = [&p](ByteCount bytes) {
    std::byte* start = p;
    p += bytes;
    return start;
  };
  ids_ = carve(part(longest_row, id_bytes(n_cols)));
  raw_ = carve(part(longest_row, 8));
  converted_ = carve(part(longest_row, numeric_size(output)));
  packed_ = carve(part(longest_row, numeric_size(output)));
  sort_ = p;
}

template <class Id>
Status RowEncoder::encode_as(const CsrTile& tile, std::size_t i, const std::string& label, EncodedRow* out) {
  const std::uint64_t first = tile.offsets[i];
  std::size_t n = tile.offsets[i + 1] - first;
  PENSTOCK_CHECK(n <= longest_);
  Id* ids = reinterpret_cast<Id*>(ids_);
  const auto narrowed = batch::narrow_ids(tile.indices + first * numeric_size(tile.index_type),
                                          tile.index_type, n, n_cols_, ids);
  if (!narrowed.in_range) [[unlikely]] {
    return Status::corrupt(fmt::format("{}: row {}, element {}: column index outside [0, {})", label,
                                       tile.rows.first + i, tile.first_element + first + narrowed.bad,
                                       n_cols_));
  }
  const std::byte* values = tile.values + first * numeric_size(tile.value_type);
  if (!narrowed.ascending) [[unlikely]] {
    std::memcpy(raw_, values, n * numeric_size(tile.value_type));
    n = batch::sort_row(ids, raw_, tile.value_type, n, sort_);
    values = raw_;
    ++counts_.rows_sorted;
  }
  if (tile.value_type != output_) {
    counts_.rounded += batch::convert_values(values, tile.value_type, n, converted_, output_);
    values = converted_;
  }
  out->cls = batch::compact_values(values, output_, n, packed_);
  out->ids = ids_;
  out->values = packed_;
  out->n = static_cast<std::uint32_t>(n);
  out->value_bytes = n * batch::value_class_bytes(out->cls, output_);
  return {};
}

Status RowEncoder::encode(const CsrTile& tile, std::size_t i, const std::string& label, EncodedRow* out) {
  return id_bytes(n_cols_) == 2 ? encode_as<std::uint16_t>(tile, i, label, out)
                                : encode_as<std::uint32_t>(tile, i, label, out);
}

}  // namespace penstock::loader
