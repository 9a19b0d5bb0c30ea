// Rows stored as triplets: three flat columns of row numbers, column numbers and values, sorted by row
// (pqdata's sparse matrices, written from CSR; tables of TileDB-SOMA and others).
//
// Open reads the column of row numbers once, page by page, and keeps where each row ends (4 bytes a row); it
// is not read again. Where the file does not say the matrix's shape, both columns of numbers are passed over
// before for the largest ones. Triplets that are not sorted by row are `unsupported`, with advice. A block
// costs the pages of the two other columns that hold its elements, and the dictionaries of their row groups.
//
// Thread contract: immutable. Ownership: keeps the file open.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parquet/column_target.h"
#include "parquet/gene_map.h"
#include "parquet/group_starts.h"
#include "parquet/matrix_source.h"
#include "parquet/row_ends.h"

namespace penstock::parquet {

struct CooColumns {
  std::shared_ptr<const File> file;
  std::size_t row = 0, col = 0, data = 0;  // numbers of the columns
  struct Shape {
    RowIndex rows = 0;
    ColIndex cols = 0;
  };
  std::optional<Shape> shape;  // unset: as large as the numbers say
  std::string label;           // "x.pqdata/X.parquet: row, col, data"
};

class CooSource final : public MatrixSource {
 public:
  static Result<std::shared_ptr<const CooSource>> open(const FileMetadata& metadata,
                                                       const CooColumns& columns, MemoryBudget& index_budget);

  std::uint64_t most_entries(RowRange rows) const override;
  Status decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                RowSink& sink) const override;

 private:
  struct Parts;
  class Decoder;
  class Opener;

  explicit CooSource(const CooColumns& columns) : MatrixSource(columns.file, columns.label) {}
  RowIndex nearest_boundary(RowIndex at) const override;
  // Empty rows, and a row longer than a page: where it was asked for.
  RowIndex boundary_after(RowIndex, RowIndex at) const override { return at; }
  std::size_t n_sides() const override { return 2; }
  const MatrixColumn& side(std::size_t i) const override { return i == 0 ? col_ : data_; }
  void add_requests(std::size_t side, std::span<const RowRange> wanted, RequestList& list) const override;
  ByteCount own_scratch() const override;
  Parts parts(Carver& memory) const;
  // The pages of the part of elements [first, last) that lies in a row group.
  PageSpan span_of(const MatrixColumn& side, std::size_t group, std::uint64_t first,
                   std::uint64_t last) const;

  std::shared_ptr<const GeneMap> map_;
  MatrixColumn col_, data_;
  GroupStarts groups_;  // by elements
  RowEnds ends_;
};

}  // namespace penstock::parquet
