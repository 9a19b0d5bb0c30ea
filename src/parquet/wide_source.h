// Rows stored one column per gene (pqdata's dense matrices, and many exports).
//
// All columns of a row group are decoded together into a dense scratch of its rows, of which non-zeros are
// handed out: a block is a row group, and the scratch is rows x columns x bytes of a value. Row groups that
// are too large for that are refused when the file is opened, with the numbers; rewriting as lists is the way
// out.
//
// Thread contract: immutable. Ownership: keeps the file open.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "parquet/matrix_column.h"
#include "penstock/memory_budget.h"
#include "source/row_source.h"

namespace penstock::parquet {

struct WideColumns {
  std::shared_ptr<const File> file;
  std::vector<std::size_t> columns;  // numbers of the columns, in the order of the matrix
  std::string label;                 // "x.parquet: 2,000 columns"
};

class WideSource final : public RowSource, public std::enable_shared_from_this<WideSource> {
 public:
  // The dense scratch of one row group may take so much.
  static constexpr ByteCount kMostScratch = ByteCount{1} << 30;

  // Columns of different number types are `unsupported`: cast them to one.
  static Result<std::shared_ptr<const WideSource>> open(const FileMetadata& metadata, WideColumns columns,
                                                        MemoryBudget& index_budget);

  const SourceTraits& traits() const override { return traits_; }
  const std::string& label() const override { return columns_.label; }
  RowIndex cut(RowIndex first, RowIndex target) const override;
  ReadCost cost(std::span<const RowRange> wanted) const override;
  std::uint64_t most_entries(RowRange rows) const override { return rows.size() * traits_.n_cols; }
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
  struct Chunk {
    ByteOffset begin = 0, end = 0;
  };

  WideSource() = default;
  Layout layout() const;
  std::size_t group_of(RowIndex row) const;
  const Chunk& chunk(std::size_t group, std::size_t column) const {
    return chunks_[group * columns_.columns.size() + column];
  }

  WideColumns columns_;
  MatrixColumn first_;              // of all: their type and codec
  std::vector<std::string> paths_;  // of the columns, for messages
  std::vector<std::uint8_t> max_def_;
  std::vector<RowIndex> first_row_;  // of row groups, and one behind the last
  std::vector<Chunk> chunks_;        // by row group, then column
  RowIndex largest_group_ = 0;
  SourceTraits traits_;
  Reservation held_;
};

}  // namespace penstock::parquet
