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
#include "parquet/matrix_column.h"
#include "penstock/memory_budget.h"
#include "source/row_source.h"

namespace penstock::parquet {

struct ListColumns {
  std::shared_ptr<const File> file;
  std::size_t genes = 0, values = 0;  // numbers of the columns
  std::shared_ptr<const GeneMap> map;
  std::string label;        // "a.parquet: genes, expressions"
  std::uint64_t walk = 64;  // row groups whose pages are looked at; large ones always are
};

class ListSource final : public RowSource, public std::enable_shared_from_this<ListSource> {
 public:
  static Result<std::shared_ptr<const ListSource>> open(const FileMetadata& metadata, ListColumns columns,
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
  struct Group {
    RowIndex first_row = 0;
    std::uint64_t entries = 0;  // elements of its lists
  };
  struct Layout;
  class Decoder;
  class Opener;

  ListSource() = default;
  RowIndex rows_of(std::size_t group) const {
    return groups_[group + 1].first_row - groups_[group].first_row;
  }
  std::size_t group_of(RowIndex row) const;
  Layout layout() const;
  PageSpan span_of(const MatrixColumn& side, std::size_t group, RowRange range) const;
  void add_requests(const MatrixColumn& side, std::span<const RowRange> wanted, RequestList& list) const;

  // f(group, the wanted ranges that touch it) for each row group, in order, until it returns false.
  template <class F>
  void for_each_group(std::span<const RowRange> wanted, F&& f) const {
    RowIndex at = wanted.empty() ? 0 : wanted.front().first;
    for (std::size_t i = 0; i < wanted.size();) {
      const std::size_t g = group_of(at);
      const RowIndex end = groups_[g + 1].first_row;
      std::size_t after = i;
      while (after < wanted.size() && wanted[after].first < end) ++after;
      if (!f(g, wanted.subspan(i, after - i))) return;
      // The last one may go on in the next group.
      const bool goes_on = wanted[after - 1].last > end;
      i = goes_on ? after - 1 : after;
      if (i < wanted.size()) at = goes_on ? end : wanted[i].first;
    }
  }

  ListColumns columns_;
  MatrixColumn genes_, values_;
  std::vector<Group> groups_;  // and one behind the last
  bool whole_groups_ = true;   // a block is a number of row groups; else of pages
  SourceTraits traits_;
  std::uint64_t longest_ = 0;  // entries of a row, the mark included
  Reservation held_;
};

}  // namespace penstock::parquet
