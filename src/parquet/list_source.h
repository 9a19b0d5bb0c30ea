// Rows stored as two list columns, genes and values: the layout of Tahoe-100M and of Hugging Face's
// single-cell datasets.
//
// genes holds what a GeneMap turns into columns of the matrix; genes that it does not know are dropped and
// counted (Scratch::entries_dropped). The first entry of a row is a mark (the CLS token) and dropped when its
// value is negative.
//
// Open looks at the levels of the pages (page_walk.h): of all row groups, or, when there are more than
// `walk`, of as many, spread over the file; row lengths of the others are taken to be alike. Reading a block
// costs the column chunks of the row groups that it touches; of a row group whose pages were looked at, those
// pages that hold its rows.
//
// Thread contract: immutable. Ownership: keeps the file open.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "parquet/column_target.h"
#include "parquet/gene_map.h"
#include "parquet/group_starts.h"
#include "parquet/matrix_source.h"

namespace penstock::parquet {

struct ListColumns {
  std::shared_ptr<const File> file;
  std::size_t genes = 0, values = 0;  // numbers of the columns
  std::shared_ptr<const GeneMap> map;
  std::string label;        // "a.parquet: genes, expressions"
  std::uint64_t walk = 64;  // row groups whose pages are looked at; large ones always are
};

class ListSource final : public MatrixSource {
 public:
  static Result<std::shared_ptr<const ListSource>> open(const FileMetadata& metadata,
                                                        const ListColumns& columns,
                                                        MemoryBudget& index_budget);

  std::uint64_t most_entries(RowRange rows) const override;
  Status decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                RowSink& sink) const override;

 private:
  struct Parts;
  class Decoder;
  class Opener;

  explicit ListSource(const ListColumns& columns)
      : MatrixSource(columns.file, columns.label), map_(columns.map) {}
  RowIndex nearest_boundary(RowIndex at) const override;
  RowIndex boundary_after(RowIndex first, RowIndex at) const override;
  std::size_t n_sides() const override { return 2; }
  const MatrixColumn& side(std::size_t i) const override { return i == 0 ? genes_ : values_; }
  void add_requests(std::size_t side, std::span<const RowRange> wanted, RequestList& list) const override;
  ByteCount own_scratch() const override;
  Parts parts(Carver& memory) const;
  // The pages of the part of a range that lies in a row group.
  PageSpan span_of(const MatrixColumn& side, std::size_t group, RowRange range) const;

  const std::shared_ptr<const GeneMap> map_;
  MatrixColumn genes_, values_;
  GroupStarts groups_;                   // by rows
  std::vector<std::uint64_t> elements_;  // of the lists of each row group
  bool whole_groups_ = true;             // a block is a number of row groups; else of pages
  std::uint64_t longest_ = 0;            // entries of a row, the mark included
};

}  // namespace penstock::parquet
