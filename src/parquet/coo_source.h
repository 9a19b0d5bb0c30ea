// Rows stored as triplets: three flat columns of row numbers, column numbers and values, sorted by row
// (pqdata's sparse matrices, written from CSR).
//
// Open reads the column of row numbers once, page by page, and keeps where each row ends (4 bytes a row); it
// is not read again. Triplets that are not sorted by row are `unsupported`, with advice. A block costs the
// pages of the two other columns that hold its elements, and the dictionaries of their row groups.
//
// Thread contract: immutable. Ownership: keeps the file open.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "parquet/column_target.h"
#include "parquet/gene_map.h"
#include "parquet/matrix_column.h"
#include "parquet/row_ends.h"
#include "penstock/memory_budget.h"
#include "source/row_source.h"

namespace penstock::parquet {

struct CooColumns {
  std::shared_ptr<const File> file;
  std::size_t row = 0, col = 0, data = 0;  // numbers of the columns
  RowIndex n_rows = 0;
  ColIndex n_cols = 0;
  std::string label;  // "x.pqdata/X.parquet: row, col, data"
};

class CooSource final : public RowSource, public std::enable_shared_from_this<CooSource> {
 public:
  static Result<std::shared_ptr<const CooSource>> open(const FileMetadata& metadata, CooColumns columns,
                                                       MemoryBudget& index_budget);

  const SourceTraits& traits() const override { return traits_; }
  const std::string& label() const override { return columns_.label; }
  RowIndex cut(RowIndex first, RowIndex target) const override;
  ReadCost cost(std::span<const RowRange> wanted) const override;
  std::uint64_t most_entries(RowRange rows) const override;
  Status requests(std::span<const RowRange> wanted, Heads heads, RequestList& list) const override;
  Status decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                RowSink& sink) const override;
  ByteCount scratch_bytes(RowIndex max_rows) const override;
  // Everything is resident.
  ByteCount resident_bytes() const override { return 0; }
  Result<std::shared_ptr<const RowSource>> resident(MemoryBudget& budget) const override;

 private:
  struct Layout;
  class Decoder;
  class Opener;

  CooSource() = default;
  Layout layout() const;
  std::size_t group_of(std::uint64_t element) const;
  std::uint64_t elements_of(std::size_t group) const { return first_[group + 1] - first_[group]; }
  // The pages of the part of elements [first, last) that lies in a row group.
  PageSpan span_of(const MatrixColumn& side, std::size_t group, std::uint64_t first,
                   std::uint64_t last) const;
  void add_requests(const MatrixColumn& side, std::span<const RowRange> wanted, RequestList& list) const;

  CooColumns columns_;
  std::shared_ptr<const GeneMap> map_;
  MatrixColumn col_, data_;
  std::vector<std::uint64_t> first_;  // element with which each row group begins, and one behind the last
  RowEnds ends_;
  SourceTraits traits_;
  Reservation held_;
};

}  // namespace penstock::parquet
