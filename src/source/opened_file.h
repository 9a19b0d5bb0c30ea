// One opened file (or folder) of a Dataset, whatever its format: a matrix, and the tables of its rows and
// columns. A format implements this class, and opens it as format.h says.
//
// Thread contract: immutable after open. Ownership: keeps the file open.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "penstock/column.h"
#include "penstock/note.h"
#include "penstock/status.h"
#include "source/obsm_array.h"
#include "source/row_source.h"
#include "source/table.h"

namespace penstock {

class OpenedFile {
 public:
  virtual ~OpenedFile() = default;

  virtual const std::shared_ptr<const RowSource>& matrix() const = 0;
  virtual const std::shared_ptr<const Table>& obs() const = 0;
  // Of the matrix: raw/X has raw/var. Files that share a gene table share the pointer.
  virtual const std::shared_ptr<const Table>& var() const = 0;
  // Bytes of the file, or of all files of a folder that belong to the matrix and its tables.
  virtual ByteCount file_bytes() const = 0;

  // Names of the matrices that can be opened besides this one.
  virtual Result<std::vector<std::string>> other_matrices() const = 0;
  // Whether a bounded sample of a matrix ("X", "raw/X", ...) holds only non-negative whole numbers; nullopt
  // when it cannot be told.
  virtual Result<std::optional<bool>> looks_like_counts(const std::string& matrix) const = 0;

  // An entry of obsm. not_found lists what there is; `unsupported` where the format, or the entry, has no
  // vectors that are read.
  virtual Result<std::shared_ptr<const ObsmArray>> obsm(const std::string&) const {
    return Status::unsupported(obs()->where() + ": obsm is of AnnData files, and this is none");
  }
  virtual Result<std::vector<ObsmInfo>> obsm_entries() const { return std::vector<ObsmInfo>(); }

  // What a user should know of how the file was taken.
  virtual std::vector<Note> notes() const { return {}; }
};

}  // namespace penstock
