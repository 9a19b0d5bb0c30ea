// How a batch lies in its slot: which arrays, of which types, how long, and where. Described once: the
// division of the budget asks it for sizes, slots are taken by it, and the assembler is told by it where to
// write.
//
// A batch is a list of arrays, one behind the other, each aligned to kAlign. The length of every one of them
// is `rows * per_row + entries * per_entry + extra`, which is all that a new kind of array has to say: an
// entry of obsm is an array with per_row numbers a row, and another matrix adds what add() adds for X.
//
// Thread contract: immutable once made, pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/carver.h"
#include "base/types.h"
#include "penstock/batch.h"
#include "source/widen.h"

namespace penstock::plan {

// What a batch is to hold, and of which types.
struct BatchContents {
  // X.
  struct Matrix {
    bool dense = false;  // else CSR
    ColIndex n_cols = 0;
    NumericType values = NumericType::f32;
    NumericType indices = NumericType::i32;  // of CSR
  };
  // Of obsm: a vector a row.
  struct Vectors {
    ArrayType type = ArrayType::f32;
    std::uint64_t width = 0;
  };
  std::vector<ArrayType> columns;  // obs: one value a row
  bool totals = false;             // of rows, float64
  std::vector<Vectors> obsm;
  Matrix x;
};

class SlotLayout {
 public:
  // A cache line, as the kernels like it.
  static constexpr ByteCount kAlign = Carver::kAlign;
  // Obs columns that a batch may have. More are refused when a loader is made.
  static constexpr std::size_t kMaxColumns = 64;
  // Likewise entries of obsm.
  static constexpr std::size_t kMaxObsm = 16;
  // Sizes that are as large or larger come out as this: no budget has room for it, and sums of a few of them
  // stay inside 64 bits.
  static constexpr ByteCount kNever = ByteCount{1} << 58;

  enum class Part : std::uint8_t { index, column, total, obsm, dense, indptr, indices, values };
  struct Array {
    Part part = Part::index;
    ArrayType type = ArrayType::i64;
    std::uint64_t per_row = 0, per_entry = 0, extra = 0;  // elements

    // Of a batch of so many rows and entries. Numbers that no slot can have saturate.
    std::uint64_t size(std::uint64_t rows, std::uint64_t entries) const;
    ByteCount bytes(std::uint64_t rows, std::uint64_t entries) const;  // at most kNever
  };

  explicit SlotLayout(const BatchContents& contents);

  // In the order in which they lie.
  std::span<const Array> arrays() const { return arrays_; }
  // Of a batch, alignment included.
  ByteCount bytes(std::uint64_t rows, std::uint64_t entries) const;
  // What to plan for: bytes() or a little more. Columns count without their alignment, and for that there is
  // a fixed allowance, so that a plan does not depend on the number of columns more than it must.
  ByteCount planned_bytes(std::uint64_t rows, std::uint64_t entries) const;
  // Calls visit(array, view) for each array of a batch that lies at `slot`, which is aligned to kAlign and
  // bytes(rows, entries) long.
  template <class Visit>
  void place(std::byte* slot, std::uint64_t rows, std::uint64_t entries, Visit visit) const {
    Carver memory(slot);
    for (const Array& array : arrays_) {
      const std::uint64_t size = array.size(rows, entries);
      visit(array, ArrayView{memory.bytes(size * item_bytes(array.type)).data(), array.type, size});
    }
  }

 private:
  void add(const BatchContents::Matrix& matrix);

  std::vector<Array> arrays_;
};

// X as a dense array alone, of so many rows: what Densifiers write into.
ByteCount dense_bytes(std::uint64_t rows, const BatchContents::Matrix& x);

}  // namespace penstock::plan
