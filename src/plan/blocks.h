// Blocks: runs of consecutive rows of one file, cut near storage-chunk boundaries; the unit of reading,
// decoding and shuffling.
//
// Thread contract: a BlockTable is immutable. Memory: 16 bytes a block, reserved under `index` before it is
// taken.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"
#include "dataset/dataset_impl.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::plan {

struct Block {
  std::uint32_t file = 0;
  std::uint32_t first_row = 0;  // within the file
  std::uint32_t rows = 0;       // of the file, selected or not
  std::uint32_t selected = 0;   // of those; never 0
};

class BlockTable {
 public:
  // Cuts every file into blocks of about `block_rows` rows, where its storage has boundaries; `exact`: of
  // exactly so many, whatever the storage. Blocks without a selected row are left out.
  static Result<BlockTable> build(std::span<const internal::FilePart> parts, RowIndex block_rows, bool exact,
                                  MemoryBudget& budget);

  std::uint64_t size() const { return blocks_.size(); }
  const Block& operator[](std::uint64_t i) const { return blocks_[i]; }
  // Selected rows over all blocks: the length of the tape.
  std::uint64_t rows() const { return rows_; }
  std::uint64_t largest() const { return largest_; }            // most selected rows in a block
  std::uint64_t largest_span() const { return largest_span_; }  // most file rows in a block

 private:
  std::vector<Block> blocks_;
  std::uint64_t rows_ = 0, largest_ = 0, largest_span_ = 0;
  Reservation reservation_;
};

// The rows [skip, skip + count) of a block's selected rows as ascending ranges of file rows, appended to
// `out`.
void selected_ranges(const internal::FilePart& part, const Block& block, std::uint64_t skip,
                     std::uint64_t count, std::vector<RowRange>& out);

}  // namespace penstock::plan
