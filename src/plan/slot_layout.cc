// A CSR batch of 3 rows and 5 entries with one label lies like this, each array at a multiple of 64 bytes:
//
//     byte 0     index      3 x int64      24 bytes       the rows' numbers
//         64     column     3 x int64      24             codes of the label
//        128     indptr     4 x int32      16             rows + 1
//        192     indices    5 x int32      20
//        256     values     5 x float32    20
//        320     end
//
// Rows and entries come from files and options, and sizes are asked for before anything is known to fit. So
// all arithmetic saturates: a size that overflows would look small, and a plan would be accepted.

#include "plan/slot_layout.h"

#include <algorithm>
#include <limits>

#include "base/checked.h"

namespace penstock::plan {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

// Sums and products that saturate: what does not fit into 64 bits fits into no slot either.
std::uint64_t sum(std::uint64_t a, std::uint64_t b) { return checked_add(a, b).value_or(kMost); }
std::uint64_t product(std::uint64_t a, std::uint64_t b) { return checked_mul(a, b).value_or(kMost); }

// For the alignment of columns: as many as there may be, and nearly a cache line for each.
constexpr ByteCount kForColumns = SlotLayout::kMaxColumns * SlotLayout::kAlign;

SlotLayout::Array dense_array(const BatchContents::Matrix& x) {
  return {.part = SlotLayout::Part::dense, .type = array_type(x.values), .per_row = x.n_cols};
}

}  // namespace

std::uint64_t SlotLayout::Array::size(std::uint64_t rows, std::uint64_t entries) const {
  return sum(sum(product(rows, per_row), product(entries, per_entry)), extra);
}

ByteCount SlotLayout::Array::bytes(std::uint64_t rows, std::uint64_t entries) const {
  return std::min(kNever, product(size(rows, entries), item_bytes(type)));
}

SlotLayout::SlotLayout(const BatchContents& contents) {
  arrays_.push_back({.part = Part::index, .type = ArrayType::i64, .per_row = 1});
  for (const ArrayType type : contents.columns)
    arrays_.push_back({.part = Part::column, .type = type, .per_row = 1});
  if (contents.totals) arrays_.push_back({.part = Part::total, .type = ArrayType::f64, .per_row = 1});
  for (const BatchContents::Vectors& vectors : contents.obsm)
    arrays_.push_back({.part = Part::obsm, .type = vectors.type, .per_row = vectors.width});
  add(contents.x);
}

void SlotLayout::add(const BatchContents::Matrix& matrix) {
  if (matrix.dense) {
    arrays_.push_back(dense_array(matrix));
    return;
  }
  const ArrayType index = array_type(matrix.indices);
  arrays_.push_back({.part = Part::indptr, .type = index, .per_row = 1, .extra = 1});
  arrays_.push_back({.part = Part::indices, .type = index, .per_entry = 1});
  arrays_.push_back({.part = Part::values, .type = array_type(matrix.values), .per_entry = 1});
}

ByteCount SlotLayout::bytes(std::uint64_t rows, std::uint64_t entries) const {
  ByteCount bytes = 0;
  for (const Array& array : arrays_)
    bytes = std::min(kNever, bytes + round_up(array.bytes(rows, entries), kAlign));
  return bytes;
}

ByteCount SlotLayout::planned_bytes(std::uint64_t rows, std::uint64_t entries) const {
  ByteCount bytes = kForColumns;
  for (const Array& array : arrays_) {
    // Counted to the next cache line, another label could cost 64 bytes and make another plan of the same
    // data.
    const bool column = array.part == Part::column || array.part == Part::total;
    const ByteCount own = array.bytes(rows, entries);
    bytes = std::min(kNever, bytes + (column ? own : round_up(own, kAlign)));
  }
  return bytes;
}

ByteCount dense_bytes(std::uint64_t rows, const BatchContents::Matrix& x) {
  return dense_array(x).bytes(rows, 0);
}

}  // namespace penstock::plan
