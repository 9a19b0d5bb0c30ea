// The files of a Dataset and everything that its selections share: metadata, budget, column cache.
//
// Thread contract: immutable after open; ObsTable locks inside.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataset/obs_table.h"
#include "dataset/row_names.h"
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
    std::shared_ptr<const Table> obs;  // with the column "@file" (file_column.h)
    // Where its columns are among n_cols; nullptr: they are the same.
    std::shared_ptr<const ColumnMap> columns;
  };

  std::shared_ptr<MemoryBudget> budget;                                // of all metadata
  std::uint64_t opened_bytes = 0;                                      // of it, when all was open
  std::shared_ptr<ReadCounts> reads = std::make_shared<ReadCounts>();  // of all files
  std::string matrix;
  std::vector<File> files;  // at least one
  std::uint64_t n_rows = 0, n_cols = 0;
  std::vector<std::string> var_names;  // of all columns: of the first file, or joined
  // The column of the first file that each is, or ColumnMap::kDropped. Empty: the same.
  std::vector<std::uint32_t> first_file_columns;
  Reservation var_names_held;
  std::vector<std::string> other_matrices;
  std::vector<Note> notes;
  std::unique_ptr<const ObsTable> obs;
  std::unique_ptr<const RowNames> row_names;
  // Every file that was opened for these, gene tables and parts of folders included.
  std::vector<std::weak_ptr<const penstock::File>> watched;

  static Result<std::shared_ptr<const OpenedFiles>> open(const std::vector<std::string>& paths,
                                                         const OpenOptions& options);
  // `io_error` when one of the files was written to since it was opened (File::unchanged()).
  Status unchanged() const;
};

// Every row of every file.
std::vector<FilePart> all_rows(const OpenedFiles& opened);

}  // namespace penstock::internal
