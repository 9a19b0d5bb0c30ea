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

#include "parquet/group_starts.h"
#include "parquet/matrix_source.h"
#include "penstock/column.h"

namespace penstock::parquet {

struct WideColumns {
  std::shared_ptr<const File> file;
  std::vector<std::size_t> columns;     // numbers of the columns, in the order of the matrix
  std::shared_ptr<const Column> names;  // likewise their names; files with the same share them
  std::string label;                    // "x.parquet: 2,000 columns"
};

class WideSource final : public MatrixSource {
 public:
  // The dense scratch of one row group may take so much.
  static constexpr ByteCount kMostScratch = ByteCount{1} << 30;

  // Columns of different number types are `unsupported`: cast them to one.
  static Result<std::shared_ptr<const WideSource>> open(const FileMetadata& metadata, WideColumns columns,
                                                        MemoryBudget& index_budget);

  std::uint64_t most_entries(RowRange rows) const override { return rows.size() * traits_.n_cols; }
  Status decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                RowSink& sink) const override;

 private:
  struct Parts;
  class Decoder;
  struct Chunk {
    ByteOffset begin = 0, end = 0;
  };

  WideSource(std::shared_ptr<const File> file, std::string label, std::shared_ptr<const Column> names)
      : MatrixSource(std::move(file), std::move(label)), names_(std::move(names)) {}
  RowIndex nearest_boundary(RowIndex at) const override { return groups_.nearest(at); }
  RowIndex boundary_after(RowIndex first, RowIndex) const override {
    return groups_.end(groups_.group_of(first));
  }
  // All columns are one side: a row group is read whole.
  std::size_t n_sides() const override { return 1; }
  const MatrixColumn& side(std::size_t) const override { return first_; }
  void add_requests(std::size_t side, std::span<const RowRange> wanted, RequestList& list) const override;
  ByteCount own_scratch() const override;
  ByteCount codec_scratch() const override { return codec_bytes_; }
  Parts parts(Carver& memory) const;
  Status take_columns(const FileMetadata& metadata, std::span<const std::size_t> numbers);
  void take_groups(const FileMetadata& metadata, std::span<const std::size_t> numbers);
  Status fill_traits(RowIndex n_rows);
  std::size_t n_cols() const { return max_def_.size(); }
  const Chunk& chunk(std::size_t group, std::size_t column) const {
    return chunks_[group * n_cols() + column];
  }

  const std::shared_ptr<const Column> names_;
  MatrixColumn first_;                 // of all: their type, and what all of them need
  std::vector<std::uint8_t> max_def_;  // of each column
  std::vector<Compression> codecs_;    // likewise
  ByteCount codec_bytes_ = 0;          // what a codec's context takes, at most
  GroupStarts groups_;                 // by rows
  std::vector<Chunk> chunks_;          // by row group, then column
  RowIndex largest_group_ = 0;
};

}  // namespace penstock::parquet
