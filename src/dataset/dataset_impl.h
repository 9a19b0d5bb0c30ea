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
#include "source/row_source.h"

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
struct Label {
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

class DatasetImpl {
 public:
  virtual ~DatasetImpl() = default;
  virtual std::span<const FilePart> parts() const = 0;
  virtual std::uint64_t n_obs() const = 0;
  virtual std::uint64_t n_vars() const = 0;
  virtual std::span<const std::string> var_names() const = 0;
  // `given` replaces the union of categories (values outside become -1); nullptr: the Dataset's own.
  virtual Result<Label> label(const std::string& column, const std::vector<std::string>* given) const = 0;
  // Bytes of metadata held, shared by all selections.
  virtual std::uint64_t index_bytes() const = 0;
  virtual std::vector<std::string> notes() const = 0;
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
};

}  // namespace penstock::internal
