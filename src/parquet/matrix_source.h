// What the layouts of a Parquet matrix have in common, whether its rows are lists, triplets or one column per
// gene: where a block may end, what reading it costs, that everything is resident, and what is said of files
// that are too long.
//
// A layout says where its storage has boundaries, which bytes of which columns some rows are in, and how it
// divides its scratch. Thread contract: immutable. Ownership: keeps the file open.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/carver.h"
#include "io/file.h"
#include "parquet/matrix_column.h"
#include "penstock/memory_budget.h"
#include "source/row_source.h"

namespace penstock::parquet {

class MatrixSource : public RowSource, public std::enable_shared_from_this<MatrixSource> {
 public:
  const SourceTraits& traits() const final { return traits_; }
  const std::string& label() const final { return label_; }
  RowIndex cut(RowIndex first, RowIndex target) const final;
  ReadCost cost(std::span<const RowRange> wanted) const final;
  Status requests(std::span<const RowRange> wanted, Heads heads, RequestList& list) const final;
  ByteCount scratch_bytes(RowIndex max_rows) const final;
  ByteCount resident_bytes() const final { return 0; }
  Result<std::shared_ptr<const RowSource>> resident(MemoryBudget& budget) const final;

 protected:
  // label: "a.parquet: genes, expressions".
  MatrixSource(std::shared_ptr<const File> file, std::string label)
      : file_(std::move(file)), label_(std::move(label)) {}

  // `unsupported` where the rows of one file cannot be numbered by 32 bits.
  Status check_rows(std::uint64_t n_rows) const;

  // The boundary of the storage that is nearest to row `at`.
  virtual RowIndex nearest_boundary(RowIndex at) const = 0;
  // Where a block from `first` on ends that no boundary near `at` does: a boundary further on, or `at`.
  virtual RowIndex boundary_after(RowIndex first, RowIndex at) const = 0;
  // The columns of the matrix, which stand side by side: rows lie in all of them.
  virtual std::size_t n_sides() const = 0;
  virtual const MatrixColumn& side(std::size_t i) const = 0;
  // What of one side the rows are in.
  virtual void add_requests(std::size_t side, std::span<const RowRange> wanted, RequestList& list) const = 0;
  // Bytes of scratch that decode() divides, and what the codecs' context takes.
  virtual ByteCount own_scratch() const = 0;
  virtual ByteCount codec_scratch() const;  // the most that a side asks for

  // A span of pages, with the dictionary that they need.
  void add_span(const PageSpan& span, RequestList& list) const;

  const std::shared_ptr<const File> file_;
  const std::string label_;
  SourceTraits traits_;
  Reservation held_;  // the index, while the source lives
};

}  // namespace penstock::parquet
