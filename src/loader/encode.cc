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

// Whole numbers of one or two bytes need no conversion: they are the class that their values would get in any
// wider type that holds them.
batch::ValueClass RowEncoder::compact_narrow(const std::byte* values, NumericType type, std::size_t n,
                                             const std::byte** out) {
  if (type == NumericType::u8) {
    *out = values;
    return batch::ValueClass::u8;
  }
  const bool fits = batch::compact_values(values, type, n, packed_) == batch::ValueClass::u8;
  return fits ? batch::ValueClass::u8 : batch::ValueClass::u16;
}

template <class Id>
Status RowEncoder::encode_as(const CsrTile& tile, std::size_t i, const std::string& label, EncodedRow* out) {
  const std::uint64_t first = tile.begins[i];
  std::size_t n = tile.ends[i] - first;
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
  NumericType type = tile.value_type;
  const bool narrow = type == NumericType::u8 || type == NumericType::u16;
  if (!narrowed.ascending) [[unlikely]] {
    if (narrow) {
      // Sums of equal columns may need more room than a source's narrow type has.
      batch::convert_values(values, type, n, raw_, NumericType::i32);
      type = NumericType::i32;
    } else {
      std::memcpy(raw_, values, n * numeric_size(type));
    }
    n = batch::sort_row(ids, raw_, type, n, sort_);
    values = raw_;
    ++counts_.rows_sorted;
  }
  out->values = packed_;
  if (narrowed.ascending && narrow && numeric_size(output_) > numeric_size(type)) {
    out->cls = compact_narrow(values, type, n, &out->values);
  } else {
    if (type != output_) {
      counts_.rounded += batch::convert_values(values, type, n, converted_, output_);
      values = converted_;
    }
    out->cls = batch::compact_values(values, output_, n, packed_);
  }
  out->ids = ids_;
  out->n = static_cast<std::uint32_t>(n);
  out->value_bytes = n * batch::value_class_bytes(out->cls, output_);
  return {};
}

Status RowEncoder::encode(const CsrTile& tile, std::size_t i, const std::string& label, EncodedRow* out) {
  return id_bytes(n_cols_) == 2 ? encode_as<std::uint16_t>(tile, i, label, out)
                                : encode_as<std::uint32_t>(tile, i, label, out);
}

}  // namespace penstock::loader
