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
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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
  std::uint64_t entries = 0;  // stored non-zeros of the matrix
  std::string layout;         // "csr float32/int32, chunks of 17,078, deflate(4)"
};

// A column (of obs or var) in memory. The vector that `kind` names is filled.
struct Column {
  enum class Kind : std::uint8_t { categorical, string, integer, floating, boolean } kind = Kind::string;
  std::string name;
  // categorical: codes (-1 missing) into categories
  std::vector<std::int32_t> codes;
  std::vector<std::string> categories;
  Kind categories_kind =
      Kind::string;  // what the category strings spell: string, integer, floating or boolean
  bool ordered = false;
  std::vector<std::string> strings;
  std::vector<std::int64_t> integers;
  bool is_unsigned = false;  // integers hold the bits of uint64
  std::vector<double> floats;
  std::vector<std::uint8_t> booleans;
  std::vector<std::uint8_t> missing;  // 1 = missing; empty when the encoding has no mask
  std::string dtype;  // as stored: "float32", "int64", "category", "string", "nullable-integer", ...
  std::uint64_t size() const;
};

struct ColumnInfo {
  std::string name;
  std::string dtype;   // as in Column
  bool usable = true;  // false: listed, but reading it is `unsupported` (why says so)
  std::string why;
};

// Rows read on request, outside any loader: CSR in file types widened to int64 / double-exact float.
struct CsrMatrix {
  std::uint64_t n_rows = 0, n_cols = 0;
  std::vector<std::int64_t> indptr;
  std::vector<std::int64_t> indices;
  std::string value_dtype;           // numpy name of the stored type
  std::vector<std::uint8_t> values;  // n * itemsize bytes
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
  // Human advice found at open: "X holds non-integer values; raw/X holds counts: open(...,
  // matrix=\"raw/X\")".
  std::vector<std::string> notes() const;
  // Other matrices of the first file that can be opened: "raw/X", "layers/counts", ...
  std::vector<std::string> other_matrices() const;

  // --- metadata, read lazily; values are of the selected rows, in order ---
  std::vector<ColumnInfo> obs_columns() const;
  // Over all files: categoricals and strings become one categorical with the sorted union of categories when
  // any file stores a categorical; plain strings stay strings. not_found suggests near names.
  Result<Column> obs(const std::string& name) const;
  Result<std::vector<std::string>> obs_names() const;
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
  //   group_by     groups stay whole; sizes are as near as a greedy assignment gets. A part with a fraction >
  //   0 has a
  //                group; fewer groups than parts are invalid_argument
  //   both         groups stay whole, classes are balanced as well as a greedy assignment gets
  // Columns are read as ObsTable reads them; their codes are reserved from index_memory while this runs.
  Result<std::vector<std::shared_ptr<const Dataset>>> split(std::span<const double> fractions,
                                                            const SplitOptions& options) const;
  // The rows that `other`, a selection of the same Dataset, does not have.
  Result<std::shared_ptr<const Dataset>> select_without(const Dataset& other) const;
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
  // gene. missing: "error" (not_found, with near names), "drop" or "zero" (a column of zeros with the name
  // asked for). A name that several genes have is invalid_argument.
  Result<std::shared_ptr<const Dataset>> select_var_names(std::span<const std::string> names,
                                                          const std::string& key,
                                                          const std::string& missing) const;
  // The opened files' gene that each of this Dataset's is (-1: a column of zeros); empty: all genes, in
  // order. With the names it says a selection to a Dataset that was opened anew from the same files.
  std::vector<std::int64_t> var_columns_opened() const;
  Result<std::shared_ptr<const Dataset>> select_opened(std::span<const std::int64_t> columns,
                                                       std::span<const std::string> names) const;

  // --- rows ---
  struct Location {
    std::uint64_t file = 0;  // index into files()
    std::uint64_t row = 0;   // row within that file
  };
  Result<Location> locate(std::uint64_t global_row) const;
  // Global numbers of the positions [first, first + out.size()).
  Status global_rows(std::uint64_t first_position, std::span<std::int64_t> out) const;
  // Rows by position, sorted by column, duplicates summed; for a look, not for training.
  Result<CsrMatrix> read_rows(std::span<const std::int64_t> positions) const;

  // Decodes everything selected for verification: calls report(message) per bad chunk and goes on; returns
  // the number of bad chunks. progress(done, total) in chunks.
  struct VerifyCounts {
    std::uint64_t chunks = 0, bad = 0, bytes = 0;
  };
  Result<VerifyCounts> verify(const std::function<void(const std::string&)>& report,
                              const std::function<void(std::uint64_t, std::uint64_t)>& progress) const;

  const internal::DatasetImpl& impl() const { return *impl_; }
  explicit Dataset(std::shared_ptr<const internal::DatasetImpl> impl);

 private:
  std::shared_ptr<const internal::DatasetImpl> impl_;
};

}  // namespace penstock
