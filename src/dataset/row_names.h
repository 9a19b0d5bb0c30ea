// Names of rows by their global number, in any order: for batches, which hold some rows of all files.
//
// Names of a file are kept, at their first use, where they take at most half of what the index budget has
// left then: a name costs its bytes and 8. Of other files the blocks that hold a wanted name are read again
// for each call, one at a time.
//
// Thread contract: thread-safe; names that are kept are read under a lock. Memory: what is kept is reserved
// under `obs`; what is returned belongs to the caller.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/types.h"
#include "dataset/dataset_impl.h"
#include "penstock/dataset.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/column_text.h"
#include "source/table.h"

namespace penstock::internal {

class RowNames {
 public:
  struct File {
    std::shared_ptr<const Table> obs;
    RowIndex first_row = 0;  // global number of its row 0
  };
  RowNames(std::vector<File> files, std::shared_ptr<MemoryBudget> budget)
      : files_(std::move(files)), kept_(files_.size()), budget_(std::move(budget)) {}

  // invalid_argument: no such row.
  Result<Dataset::RowNames> read(std::span<const std::int64_t> rows) const;

 private:
  // The names of all rows of a file, one after the other.
  struct Names {
    std::string text;
    std::vector<std::uint64_t> ends;  // of the name of each row
    Reservation held;
  };
  struct Kept {
    std::shared_ptr<const Names> names;
    bool too_large = false;  // it was tried
  };
  // A row's place in the answer, and its number in its file.
  struct Wanted {
    std::size_t place = 0;
    RowIndex row = 0;
  };

  // nullptr: they take too much.
  Result<std::shared_ptr<const Names>> keep(std::size_t file) const;
  Result<std::shared_ptr<const Names>> read_all(const TextReader& reader) const;
  Status read_blocks(std::size_t file, std::span<Wanted> wanted, std::vector<std::string>& out) const;

  const std::vector<File> files_;
  mutable Mutex mutex_;
  mutable std::vector<Kept> kept_ PENSTOCK_GUARDED_BY(mutex_);  // parallel to files_
  const std::shared_ptr<MemoryBudget> budget_;
};

}  // namespace penstock::internal
