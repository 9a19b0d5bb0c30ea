// The files of a Dataset and everything that its selections share: metadata, budget, column cache.
//
// Thread contract: immutable after open; ObsTable locks inside.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataset/obs_table.h"
#include "io/counted_file.h"
#include "penstock/dataset.h"
#include "penstock/memory_budget.h"
#include "penstock/options.h"
#include "penstock/status.h"
#include "source/column_map.h"
#include "source/opened_file.h"

namespace penstock::internal {

struct OpenedFiles {
  struct File {
    std::string path;
    RowIndex first_row = 0;  // global number of its row 0
    std::shared_ptr<const OpenedFile> content;
    // Where its columns are among n_cols; nullptr: they are the same.
    std::shared_ptr<const ColumnMap> columns;
  };

  std::shared_ptr<MemoryBudget> budget;                                // of all metadata
  std::shared_ptr<ReadCounts> reads = std::make_shared<ReadCounts>();  // of all files
  std::string matrix;
  std::vector<File> files;  // at least one
  std::uint64_t n_rows = 0, n_cols = 0;
  std::vector<std::string> var_names;  // of all columns: of the first file, or joined
  // The column of the first file that each is, or ColumnMap::kDropped. Empty: the same.
  std::vector<std::uint32_t> first_file_columns;
  Reservation var_names_held;
  std::vector<std::string> other_matrices, notes;
  std::unique_ptr<const ObsTable> obs;

  static Result<std::shared_ptr<const OpenedFiles>> open(const std::vector<std::string>& paths,
                                                         const OpenOptions& options);
};

// Every row of every file.
std::vector<FilePart> all_rows(const OpenedFiles& opened);

}  // namespace penstock::internal
