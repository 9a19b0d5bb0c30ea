// A matrix with some columns of another, renumbered: the same rows, blocks and bytes, entries of other
// columns left out as soon as they are decoded.
//
// Row lengths are those of the other matrix (SourceTraits::lengths_are_bounds): how many entries of a row are
// in wanted columns is not known before it is decoded.
//
// Thread contract: immutable, as every RowSource. Ownership: keeps source and map.
#pragma once

#include <memory>
#include <string>

#include "base/carver.h"
#include "source/column_map.h"
#include "source/row_source.h"

namespace penstock {

class MappedSource final : public RowSource {
 public:
  // map.source_cols() is that of `source`.
  MappedSource(std::shared_ptr<const RowSource> source, std::shared_ptr<const ColumnMap> map);

  const SourceTraits& traits() const override { return traits_; }
  const std::string& label() const override { return source_->label(); }
  RowIndex cut(RowIndex first, RowIndex target) const override { return source_->cut(first, target); }
  ReadCost cost(std::span<const RowRange> wanted) const override { return source_->cost(wanted); }
  std::uint64_t most_entries(RowRange rows) const override { return source_->most_entries(rows); }
  Status requests(std::span<const RowRange> wanted, Heads heads, RequestList& list) const override {
    return source_->requests(wanted, heads, list);
  }
  Status decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                RowSink& sink) const override;
  ByteCount scratch_bytes(RowIndex max_rows) const override;
  ByteCount least_scratch_bytes(RowIndex max_rows) const override;
  ByteCount resident_bytes() const override { return source_->resident_bytes(); }
  Result<std::shared_ptr<const RowSource>> resident(MemoryBudget& budget) const override;
  std::shared_ptr<const RowSource> without_totals() const override;
  const ColumnMajor* by_columns() const override { return source_->by_columns(); }
  std::uint64_t wanted_entries() const override;

 private:
  struct Parts;
  class Sink;
  Parts parts(Carver& memory) const;
  ByteCount own_scratch() const;

  const std::shared_ptr<const RowSource> source_;
  const std::shared_ptr<const ColumnMap> map_;
  SourceTraits traits_;
  std::uint64_t capacity_;  // entries of a tile, at least those of the longest row
};

}  // namespace penstock
