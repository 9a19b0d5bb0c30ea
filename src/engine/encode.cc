// How a row gets from a tile, where it is as the file has it, to how it lies in the window:
//
//   ids      i32   7   2   2        checked, narrowed to u16, sorted; equal ones become one
//   values   f32   3.0 1.0 4.0      moved along with the ids, and added up where these are equal
//   row      u16   2   7
//            u8    5   3            every value is a small whole number, so a byte each
//
// Nearly all rows are sorted in their file, and skip the middle. Values are converted to the output type
// before they are packed, so that what comes out of the window is what the output type says, whatever the
// file has.
#include "engine/encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "plan/record_layout.h"

namespace penstock::loader {

RowEncoder::Parts RowEncoder::parts(Carver& memory, std::uint64_t longest_row, ColIndex n_cols,
                                    NumericType output) {
  // Behind the elements of each there is a cache line that nothing is in: kernels that work on whole vectors
  // never meet the next part, and rows without entries have an address all the same.
  const auto elements = [&](std::size_t item) { return memory.bytes(longest_row * item + Carver::kAlign); };
  Parts parts;
  parts.ids = elements(plan::RecordLayout::id_bytes(n_cols));
  parts.raw = elements(sizeof(std::uint64_t));  // as wide as any type
  parts.converted = elements(numeric_size(output));
  parts.packed = elements(numeric_size(output));
  parts.sort = memory.bytes(batch::sort_scratch_bytes(longest_row));
  return parts;
}

ByteCount RowEncoder::bytes_needed(std::uint64_t longest_row, ColIndex n_cols, NumericType output) {
  Carver measured;
  parts(measured, longest_row, n_cols, output);
  return measured.used();
}

RowEncoder::RowEncoder(std::span<std::byte> buffer, std::uint64_t longest_row, ColIndex n_cols,
                       NumericType output)
    : n_cols_(n_cols), output_(output), longest_(longest_row) {
  PENSTOCK_CHECK(buffer.size() >= bytes_needed(longest_row, n_cols, output));
  Carver memory(buffer.data());
  parts_ = parts(memory, longest_row, n_cols, output);
}

// Whole numbers of one or two bytes need no conversion: they are the class that their values would get in any
// wider type that holds them.
batch::ValueClass RowEncoder::compact_narrow(const std::byte* values, NumericType type, std::size_t n,
                                             const std::byte** out) {
  if (type == NumericType::u8) {
    *out = values;
    return batch::ValueClass::u8;
  }
  const bool fits = batch::compact_values(values, type, n, parts_.packed.data()) == batch::ValueClass::u8;
  return fits ? batch::ValueClass::u8 : batch::ValueClass::u16;
}

template <class Id>
Status RowEncoder::encode_as(const CsrTile& tile, std::size_t i, const std::string& label, EncodedRow* out) {
  const std::uint64_t first = tile.begins[i];
  std::size_t n = tile.ends[i] - first;
  // All buffers here are as long as the longest row that opening counted.
  if (n > longest_) [[unlikely]] {
    return Status::corrupt(
        fmt::format("{}: row {}: {} elements where at most {} were counted when the file was opened: it "
                    "changed while it was being read",
                    label, tile.rows.first + i, n, longest_));
  }
  // No id gets past this check, so that everything behind it may use ids as indices without looking.
  Id* ids = reinterpret_cast<Id*>(parts_.ids.data());
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
      batch::convert_values(values, type, n, parts_.raw.data(), NumericType::i32);
      type = NumericType::i32;
    } else {
      std::memcpy(parts_.raw.data(), values, n * numeric_size(type));
    }
    n = batch::sort_row(ids, parts_.raw.data(), type, n, parts_.sort.data());
    values = parts_.raw.data();
    ++counts_.rows_sorted;
  }
  out->values = parts_.packed.data();
  // Only where the output type is wider than the values: each of those holds every one of them exactly
  // (float16 and bfloat16 all numbers of one byte, float32 all of two). So nothing is converted now, and the
  // kernels that build batches widen the bytes. A sorted row went to i32 above, and takes the other way.
  if (narrowed.ascending && narrow && numeric_size(output_) > numeric_size(type)) {
    out->cls = compact_narrow(values, type, n, &out->values);
  } else {
    if (type != output_) {
      counts_.rounded += batch::convert_values(values, type, n, parts_.converted.data(), output_);
      values = parts_.converted.data();
    }
    out->cls = batch::compact_values(values, output_, n, parts_.packed.data());
  }
  out->ids = parts_.ids.data();
  out->n = static_cast<std::uint32_t>(n);
  out->value_bytes = n * batch::value_class_bytes(out->cls, output_);
  return {};
}

Status RowEncoder::encode(const CsrTile& tile, std::size_t i, const std::string& label, EncodedRow* out) {
  return plan::RecordLayout::id_bytes(n_cols_) == 2 ? encode_as<std::uint16_t>(tile, i, label, out)
                                                    : encode_as<std::uint32_t>(tile, i, label, out);
}

}  // namespace penstock::loader
