// The inside of a Dataset, for the planner and the loader.
//
// Thread contract: immutable and thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <roaring/roaring.hh>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "io/counted_file.h"
#include "penstock/dataset.h"
#include "source/obs_column.h"
#include "source/obsm_array.h"
#include "source/row_source.h"
#include "source/widen.h"

namespace penstock::internal {

using Bitmap = ::Roaring;  // row numbers of one file; CRoaring 0.2 has no namespace

// One file and which of its rows are selected.
struct FilePart {
  std::shared_ptr<const RowSource> source;
  RowIndex first_row = 0;  // global number of the file's row 0
  // Rows of the file that are selected; nullptr: all of them.
  std::shared_ptr<const Bitmap> selected;
  std::uint64_t n_selected = 0;
};

// A requested obs column over all files.
struct LabelColumn {
  std::string name;
  ObsKind kind = ObsKind::category;     // of the whole: the widest over the files
  std::vector<std::string> categories;  // kind == category: sorted union, or the list the caller gave
  struct PerFile {
    std::shared_ptr<const ObsColumn> column;
    // kind == category: local code + 1 -> global code (entry 0: missing = -1). May hold -1 for values
    // outside.
    std::vector<std::int32_t> codes;
  };
  std::vector<PerFile> files;  // parallel to DatasetImpl::parts()
};

// A requested entry of obsm over all files.
struct ObsmEntry {
  std::string name;
  ArrayType type = ArrayType::f32;  // of the whole: the widest over the files
  std::uint64_t width = 0;
  std::vector<std::string> columns;                     // their names; empty where they have none
  std::vector<std::shared_ptr<const ObsmArray>> files;  // parallel to DatasetImpl::parts()
  ByteCount row_bytes() const { return width * item_bytes(type); }
};

class View;

class DatasetImpl {
 public:
  virtual ~DatasetImpl() = default;
  virtual std::span<const FilePart> parts() const = 0;
  virtual std::uint64_t n_obs() const = 0;
  virtual std::uint64_t n_vars() const = 0;
  virtual std::span<const std::string> var_names() const = 0;
  // `given` replaces the union of categories (values outside become -1); nullptr: the Dataset's own.
  virtual Result<LabelColumn> label(const std::string& column,
                                    const std::vector<std::string>* given) const = 0;
  virtual Result<ObsmEntry> obsm(const std::string& name) const {
    return Status::not_found("no obsm, and so no '" + name + "'");
  }
  // Bytes of metadata held, shared by all selections: now, and when the files had been opened. What decides the
  // order of rows may depend on the latter only, which is the same in every process.
  virtual std::uint64_t index_bytes() const = 0;
  virtual std::uint64_t opened_bytes() const { return index_bytes(); }
  virtual std::vector<Note> notes() const = 0;
  // Which matrix of the files: "X", "raw/X", ...
  virtual const std::string& matrix() const = 0;
  // What checkpoints know a file by, beside its part.
  struct FileName {
    std::string path;
    std::uint64_t bytes = 0;  // of the file
  };
  virtual FileName file_name(std::size_t part) const = 0;
  // Everything read from the files, shared by all selections. Never null.
  virtual std::shared_ptr<const ReadCounts> read_counts() const = 0;
  // `io_error` when a file was written to since it was opened.
  virtual Status unchanged() const { return {}; }
  // The files themselves and what is selected of them, for all that a Dataset does beside being loaded.
  // nullptr: rows that a test made up, which can only be loaded.
  virtual const View* view() const { return nullptr; }
};

}  // namespace penstock::internal
