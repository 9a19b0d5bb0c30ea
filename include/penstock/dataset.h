// A Dataset: the rows of one or more files as one matrix with obs and var, opened by reading metadata only.
//
//   auto ds = penstock::Dataset::open({"a.h5ad", "b.h5ad"}, {});
//   if (!ds.ok()) return ds.status();
//   std::cout << (*ds)->n_obs() << " x " << (*ds)->n_vars();
//   auto half = (*ds)->select_slice(0, (*ds)->n_obs() / 2, 1);
//
// Rows have two numbers. A *global* number counts rows over the opened files and never changes: it is what
// batch.index holds. A *position* counts the selected rows of this Dataset, in file order. A selection is a
// set: rows stay in file order whatever the order they were asked in.
//
// Thread contract: immutable and thread-safe (columns read lazily are cached under a lock).
// Ownership: shared_ptr; selections share the files, metadata and column cache of the Dataset they came from.
// Layer: dataset.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/column.h"
#include "penstock/note.h"
#include "penstock/options.h"
#include "penstock/query.h"
#include "penstock/status.h"

namespace penstock {

namespace internal {
class DatasetImpl;
}

// What open found in one file.
struct FileInfo {
  std::string path;
  std::uint64_t n_obs = 0;      // all rows of the file
  std::uint64_t first_row = 0;  // global number of its row 0
  std::uint64_t selected = 0;   // rows of this Dataset's selection
  std::uint64_t file_bytes = 0;
  std::uint64_t entries = 0;  // stored values of the matrix: of a dense one all, else its non-zeros
  std::string layout;         // "csr float32/int32, chunks of 17,078, deflate(4)"
};

// Rows read on request, outside any loader: CSR in file types widened to int64 / double-exact float.
struct CsrMatrix {
  std::uint64_t n_rows = 0, n_cols = 0;
  std::vector<std::int64_t> indptr;
  std::vector<std::int64_t> indices;
  std::string value_dtype;           // numpy name of the stored type
  std::vector<std::uint8_t> values;  // n * itemsize bytes
};

// Rows of an entry of obsm, likewise.
struct ObsmRows {
  std::uint64_t n_rows = 0, width = 0;
  std::string dtype;                 // numpy's name
  std::vector<std::string> columns;  // their names; empty where they have none
  std::vector<std::uint8_t> values;  // n_rows * width * itemsize bytes, row after row
};

// How two selections of the same files become one.
enum class RowJoin : std::uint8_t {
  either,   // rows that one of them has
  both,     // rows that both have
  without,  // rows of the first that the second does not have
};

class Dataset {
 public:
  // Paths are files in the order wanted (the caller expands globs). Errors: no file, not found, not HDF5,
  // unsupported encodings, var names that differ (the first difference is named), index_memory exceeded.
  static Result<std::shared_ptr<const Dataset>> open(std::vector<std::string> paths, OpenOptions options);
  ~Dataset();
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;

  std::uint64_t n_obs() const;         // selected rows
  std::uint64_t n_obs_total() const;   // rows of all files
  std::uint64_t n_vars() const;        // selected columns
  std::uint64_t n_vars_total() const;  // columns of the opened files, joined
  std::vector<FileInfo> files() const;
  std::uint64_t index_bytes() const;  // bytes of metadata held (shared by all selections)
  const std::string& matrix() const;
  // The stored value type: "float32", ...
  std::string value_dtype() const;
  // Advice found at open: that X is not counts but raw/X is; and what selecting genes by name left to say:
  // how many of them were found.
  std::vector<Note> notes() const;
  // Other matrices of the first file that can be opened: "raw/X", "layers/counts", ...
  std::vector<std::string> other_matrices() const;

  // --- metadata, read lazily; values are of the selected rows, in order ---
  // Their names, of which there may be thousands; what one is; and what all are, which opens each.
  std::vector<std::string> obs_column_names() const;
  ColumnInfo obs_column(const std::string& name) const;
  std::vector<ColumnInfo> obs_columns() const;
  // Over all files: categoricals and strings become one categorical with the sorted union of categories when
  // any file stores a categorical; plain strings stay strings. not_found suggests near names.
  Result<Column> obs(const std::string& name) const;
  Result<std::vector<std::string>> obs_names() const;
  // The names of these rows of all files, selected or not, in any order. Names of a file are kept at the
  // first use where they take at most half of what index_memory has left; those of other files are read again
  // for each call, in blocks of about 64 Ki rows that hold one of the rows.
  struct RowNames {
    std::vector<std::string> names;
    bool read_again = false;  // some are of a file whose names are not kept
  };
  Result<RowNames> names_of(std::span<const std::int64_t> global_rows) const;
  // Entries of obsm of the first file; each is opened, none is read.
  Result<std::vector<ObsmInfo>> obsm_entries() const;
  std::vector<ColumnInfo> var_columns() const;
  // Of the first file; genes that it lacks (join="outer") are missing.
  Result<Column> var(const std::string& name) const;
  const std::vector<std::string>& var_names() const;
  // The sorted union of a column's values over *all* rows of all files (not only the selected ones): the
  // codes that batches carry. invalid_argument for numeric columns; more than 65,536 distinct strings is an
  // error.
  Result<std::vector<std::string>> categories(const std::string& obs_column) const;

  // --- selections ---
  // Python slice semantics on positions, already normalised: start, start + step, ... (step > 0), stop
  // exclusive.
  Result<std::shared_ptr<const Dataset>> select_slice(std::uint64_t start, std::uint64_t stop,
                                                      std::uint64_t step) const;
  // One byte per position, non-zero = keep.
  Result<std::shared_ptr<const Dataset>> select_mask(std::span<const std::uint8_t> keep) const;
  // Positions, any order, no duplicates.
  Result<std::shared_ptr<const Dataset>> select_positions(std::span<const std::int64_t> positions) const;
  // Disjoint random parts with the fractions' sizes (they sum to at most 1; what they leave is in no part),
  // reproducible from the seed.
  //   plain        sizes are right to rounding
  //   stratify_by  so are the rows of each class in each part
  //   group_by     groups stay whole; sizes are as near as a greedy assignment gets. A part whose fraction is
  //                above 0 has a group; fewer groups than parts are invalid_argument
  //   both         groups stay whole, classes are balanced as well as a greedy assignment gets
  // Columns are read as ObsTable reads them; their codes are reserved from index_memory while this runs.
  Result<std::vector<std::shared_ptr<const Dataset>>> split(std::span<const double> fractions,
                                                            const SplitOptions& options) const;
  // With the genes of this Dataset. `other` is a selection of the same files, which may have been opened for
  // themselves: files that differ in number or rows are invalid_argument.
  Result<std::shared_ptr<const Dataset>> join_rows(const Dataset& other, RowJoin how) const;
  // The rows for which an expression in pandas' grammar holds, as DataFrame.query of this Dataset's obs would
  // choose them: "n_counts > 500 and drug not in @controls" (docs/query.md). obs is read in blocks; those
  // without a selected row, and Parquet row groups whose statistics rule the expression out, are not.
  // Errors say the position in the expression and show it: not_found for unknown columns and parameters,
  // with near names; invalid_argument for the grammar and for types that do not go together; and what
  // reading a column can give.
  Result<std::shared_ptr<const Dataset>> query(std::string_view expression,
                                               const QueryParams& params = {}) const;
  // Writes which rows are selected to a file of a few bytes per run of rows, with the names and row counts of
  // the files that they belong to. io_error.
  Status save_selection(const std::string& path) const;
  // These files with the rows that save_selection() wrote, whichever are selected now. invalid_argument when
  // the selection is one of other files: the first difference is named; corrupt when it is damaged.
  Result<std::shared_ptr<const Dataset>> load_selection(const std::string& path) const;

  // --- genes ---
  // The genes with these numbers, in this order; none twice. Genes that are left out are dropped as soon as
  // they are decoded. Selections compose: numbers count the genes of this Dataset.
  Result<std::shared_ptr<const Dataset>> select_vars(std::span<const std::int64_t> columns) const;
  // By name, or by the values of the var column `key` (empty: the names), of the first file that has the
  // gene. missing: "error" (not_found), "drop" or "zero" (a column of zeros with the name asked for); then
  // notes() say how many were found, and none is not_found all the same. Messages and notes say where the
  // names are, if that is known: in another column of var, or written otherwise. A name that several genes
  // have is invalid_argument.
  Result<std::shared_ptr<const Dataset>> select_var_names(std::span<const std::string> names,
                                                          const std::string& key,
                                                          const std::string& missing) const;
  // The opened files' gene that each of this Dataset's is (-1: a column of zeros); empty: all genes, in
  // order. With the names it says a selection to a Dataset that was opened anew from the same files.
  std::vector<std::int64_t> var_columns_opened() const;
  // What selecting genes by name added to notes().
  std::vector<Note> var_notes() const;
  Result<std::shared_ptr<const Dataset>> select_opened(std::span<const std::int64_t> columns,
                                                       std::span<const std::string> names,
                                                       std::span<const Note> notes) const;

  // --- rows ---
  struct Location {
    std::uint64_t file = 0;  // index into files()
    std::uint64_t row = 0;   // row within that file
  };
  Result<Location> locate(std::uint64_t global_row) const;
  // Global numbers of the positions [first, first + out.size()).
  Status global_rows(std::uint64_t first_position, std::span<std::int64_t> out) const;
  // The other way round: the position of each global row, in any order, repeated or not. invalid_argument
  // names the first one that is not selected.
  Status positions_of(std::span<const std::int64_t> global_rows, std::span<std::int64_t> out) const;
  // Rows by position, sorted by column, duplicates summed; for a look, not for training.
  Result<CsrMatrix> read_rows(std::span<const std::int64_t> positions) const;

  // Of an entry of obsm, which every file has with the same width; for a look, too. not_found lists what there
  // is.
  Result<ObsmRows> read_obsm(const std::string& name, std::span<const std::int64_t> positions) const;

  const internal::DatasetImpl& impl() const { return *impl_; }
  explicit Dataset(std::shared_ptr<const internal::DatasetImpl> impl);

 private:
  std::shared_ptr<const internal::DatasetImpl> impl_;
};

// From what users write to the files that open() takes, in order. Each path is a file, a glob (*, ?, [...];
// ** is folders; hidden names only where the pattern says so), a folder (all .h5ad or all .parquet files in
// it, by name) or a pqdata folder, which is opened as one. ~ is a home. What a glob finds is sorted; a path
// that exists is taken as it is, whatever characters it has. A file that is not there is missed when it is
// opened, not here. Errors: path_not_found for a glob without a file, invalid_argument for a folder with both
// kinds, `unsupported` for URLs.
Result<std::vector<std::string>> expand_paths(std::span<const std::string> paths);

}  // namespace penstock
