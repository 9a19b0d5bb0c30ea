// One opened file (or folder) of a Dataset, whatever its format: a matrix, and the tables of its rows and
// columns. A format implements this class and is named once, in dataset/opened_files.cc.
//
// Thread contract: immutable after open. Ownership: keeps the file open.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "penstock/dataset.h"
#include "penstock/status.h"
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

  // Chunks or pages that verify() will go through.
  virtual std::uint64_t verify_chunks() const = 0;
  // Decodes every chunk or page of matrix and obs: report(message) per bad one, step() after each. Only a
  // failure that ends the walk is an error.
  struct Verifier {
    std::function<void(const std::string&)> report;
    std::function<void()> step;
  };
  virtual Result<Dataset::VerifyCounts> verify(const Verifier& verifier, MemoryBudget& budget) const = 0;
};

}  // namespace penstock
