// Rows of a dense matrix: an array of rows x columns, in one piece, or in chunks that hold whole rows or cut
// the columns.
//
// A band is the rows of one row of chunks. Its rows are put together in the scratch out of all of the band's
// chunks, each of which is decoded once; where the scratch does not hold that many rows, a part of them at a
// time, and the chunks are decoded again for the next part. What is handed out are the values that are not
// zero (NaN is one of them, -0.0 is none): how many a row has is not known before it is decoded, so
// SourceTraits::lengths says that each has as many as there are columns, and decode() counts the zeros.
//
// Open costs nothing but what the array has read of its chunk index.
//
// Thread contract: immutable. Ownership: keeps the array, and through it the file, open.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/carver.h"
#include "penstock/memory_budget.h"
#include "source/row_source.h"
#include "store/store.h"

namespace penstock::anndata {

class DenseSource final : public RowSource, public std::enable_shared_from_this<DenseSource> {
 public:
  // Rows of a band that are put together at once take at most so much, where one row does not take more.
  static constexpr ByteCount kMostAtOnce = ByteCount{64} << 20;

  // label: "file.h5ad: X". `unsupported` names the type, or how many dimensions the array has.
  static Result<std::shared_ptr<const DenseSource>> open(std::shared_ptr<const store::Array> values,
                                                         std::string label, MemoryBudget& index_budget);
  // Whether open() reads an array of this type and shape.
  static bool reads(const store::Array& values);

  const SourceTraits& traits() const override { return traits_; }
  const std::string& label() const override { return label_; }
  RowIndex cut(RowIndex first, RowIndex target) const override;
  ReadCost cost(std::span<const RowRange> wanted) const override;
  std::uint64_t most_entries(RowRange rows) const override { return rows.size() * traits_.n_cols; }
  Status requests(std::span<const RowRange> wanted, Heads heads, RequestList& list) const override;
  Status decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                RowSink& sink) const override;
  ByteCount scratch_bytes(RowIndex max_rows) const override;
  ByteCount least_scratch_bytes(RowIndex max_rows) const override;
  ByteCount resident_bytes() const override { return 0; }
  Result<std::shared_ptr<const RowSource>> resident(MemoryBudget&) const override {
    return std::static_pointer_cast<const RowSource>(shared_from_this());
  }
  std::shared_ptr<const RowSource> only_columns(const ColumnMap& map) const override;

 private:
  struct Parts;
  class Decoder;

  DenseSource(std::shared_ptr<const store::Array> values, std::string label)
      : values_(std::move(values)), label_(std::move(label)) {}
  void take_grid();
  void read_all_columns();
  void fill_traits();
  // f(band, ranges): the bands that rows are wanted of, with the ranges that touch each.
  template <class F>
  Status for_each_band(std::span<const RowRange> wanted, F&& f) const;
  RowRange rows_of(std::uint64_t band) const;
  std::uint64_t chunk_number(std::uint64_t band, std::uint64_t across) const {
    return band * n_across_ + across;
  }
  ByteCount row_bytes() const { return read_.size() * chunk_cols_ * item_; }
  RowIndex rows_at_once(RowIndex max_rows) const;
  RowIndex rows_that_fit(ByteCount scratch) const;
  Parts parts(Carver& memory, RowIndex rows) const;
  ByteCount bytes_for(RowIndex rows) const;

  const std::shared_ptr<const store::Array> values_;
  const std::string label_;
  SourceTraits traits_;
  std::size_t item_ = 0;  // bytes of a value
  // An array in one piece is one band that is as wide as the matrix, and read row by row.
  bool chunked_ = false;
  RowIndex chunk_rows_ = 1;
  ColIndex chunk_cols_ = 1;
  std::uint64_t n_across_ = 0;               // chunks that stand side by side
  std::vector<std::uint32_t> read_;          // of these, the ones whose columns are wanted
  std::shared_ptr<const Reservation> held_;  // of such lists
};

}  // namespace penstock::anndata
