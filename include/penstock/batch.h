// A batch as the engine hands it out: views on a slot that stays alive, and is not written again, until the
// last copy of the Batch (or of its keep_alive()) dies - even after the loader is closed.
//
// Thread contract: copies may live on and die on any thread. The arrays are the consumer's to write into.
// Layer: base.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace penstock {

enum class ArrayType : std::uint8_t { i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64, boolean };

struct ArrayView {
  void* data = nullptr;
  ArrayType type = ArrayType::f32;
  std::uint64_t size = 0;  // elements
};

struct BatchColumn {
  std::string name;
  ArrayView values;  // category: i64 codes; integer: i64; floating: f32 or f64; boolean
};

// An entry of obsm: rows x width numbers, C order.
struct BatchObsm {
  std::string name;
  ArrayView values;  // of its own type, the widest over the files
  std::uint64_t width = 0;
};

class Batch {
 public:
  std::uint64_t number = 0;  // within the epoch, from 0
  std::uint64_t epoch = 0;
  std::uint64_t n_rows = 0, n_cols = 0;
  // CSR: indptr n_rows + 1, indices and values nnz; sorted by column within a row, no duplicates. indptr and
  // indices are i32 while the largest possible batch has < 2^31 non-zeros, else i64.
  ArrayView indptr, indices, values;
  // dense: n_rows x n_cols, C order.
  ArrayView dense;
  ArrayView index;  // i64 global row numbers; -1: a repeated row that evens out ranks
  std::vector<BatchColumn> obs;
  std::vector<BatchObsm> obsm;
  ArrayView total;  // f64, n_rows; LoaderOptions::totals only

  bool is_dense() const { return dense.data != nullptr; }
  const std::shared_ptr<void>& keep_alive() const { return owner_; }
  void set_owner(std::shared_ptr<void> owner) { owner_ = std::move(owner); }

 private:
  std::shared_ptr<void> owner_;
};

}  // namespace penstock
