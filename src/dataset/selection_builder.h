// Collects the rows of one file that a selection keeps.
//
// Thread contract: one thread. Memory: a bitmap is reserved under `index` when it is taken, and for as long
// as any selection uses it.
#pragma once

#include <cstdint>
#include <exception>
#include <vector>

#include "base/types.h"
#include "dataset/dataset_impl.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::internal {

// `from` with these rows instead of its own.
Result<FilePart> with_rows(const FilePart& from, Bitmap rows, MemoryBudget& budget);

class SelectionBuilder {
 public:
  // Ascending.
  void add(RowIndex row) {
    if (buffered_ == kBuffer) flush();
    buffer_[buffered_++] = static_cast<std::uint32_t>(row);
    ++count_;
  }
  void add_range(RowIndex first, RowIndex last);
  // The part of `from` that was collected; the builder is empty afterwards.
  Result<FilePart> take(const FilePart& from, MemoryBudget& budget);

 private:
  static constexpr std::size_t kBuffer = 4096;
  void flush();
  void clear();

  Bitmap rows_;
  std::vector<std::uint32_t> buffer_ = std::vector<std::uint32_t>(kBuffer);
  std::size_t buffered_ = 0;
  std::uint64_t count_ = 0;
};

// CRoaring throws when the system has no memory.
template <class F>
auto guard_selection(F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::exception&) {
    return Status::budget("the system has no memory for a selection of rows");
  }
}

}  // namespace penstock::internal
