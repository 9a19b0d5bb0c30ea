// Rows of a CSC matrix stored as AnnData does: data and indices lie column after column, indptr has an offset
// per column. Rows are turned by passes over all of it: source/column_major.h.
//
// Open costs one pass over indptr and one over indices, which alone say how long rows are; it keeps 4 bytes a
// row and about 4 a column. A pass reads and decodes every chunk of data and indices once (those on the edge
// of a part twice where the two have different grids). Row numbers may come in any order within a column, and
// more than once: a row's columns ascend, and values of a column that comes twice lie side by side.
//
// Thread contract: immutable. Ownership: keeps the arrays, and through them the file, open.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "anndata/indptr.h"
#include "anndata/sparse_parts.h"
#include "base/carver.h"
#include "penstock/memory_budget.h"
#include "source/column_major.h"
#include "source/row_source.h"

namespace penstock::anndata {

class CscSource final : public RowSource, public ColumnMajor, public std::enable_shared_from_this<CscSource> {
 public:
  // Checks types, ranks, lengths, all of indptr and all row numbers. Errors: `corrupt` naming array, column
  // and element, `unsupported` naming the type, `budget`.
  static Result<std::shared_ptr<const CscSource>> open(CscParts parts, MemoryBudget& index_budget);

  const SourceTraits& traits() const override { return traits_; }
  const std::string& label() const override { return parts_.label; }
  RowIndex cut(RowIndex first, RowIndex target) const override;
  ReadCost cost(std::span<const RowRange>) const override { return {}; }
  std::uint64_t most_entries(RowRange rows) const override;
  Status requests(std::span<const RowRange>, Heads, RequestList&) const override { return {}; }
  // Without Scratch::turned a pass for each row.
  Status decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                RowSink& sink) const override;
  ByteCount scratch_bytes(RowIndex max_rows) const override;
  ByteCount resident_bytes() const override { return 0; }
  Result<std::shared_ptr<const RowSource>> resident(MemoryBudget&) const override {
    return std::static_pointer_cast<const RowSource>(shared_from_this());
  }
  const ColumnMajor* by_columns() const override { return this; }

  std::span<const std::uint32_t> row_lengths() const override { return lengths_; }
  std::uint64_t entries_in(const ColumnMap& map) const override;
  NumericType turned_id_type() const override { return traits_.index_type; }
  NumericType turned_value_type() const override { return traits_.value_type; }
  std::uint64_t n_parts() const override;
  Status requests(std::uint64_t part, RequestList& list) const override;
  ReadCost pass_cost() const override { return pass_; }
  ByteCount part_stored_bytes() const override { return part_stored_; }
  ByteCount part_scratch_bytes() const override;
  Status decode(std::uint64_t part, const Fetched& fetched, std::span<std::byte> scratch,
                CodecContext& codec) const override;
  Status place(std::uint64_t part, std::span<std::byte> scratch, const TurnedRows& rows) const override;
  std::span<const std::byte> values(std::uint64_t part, std::span<std::byte> scratch) const override;

 private:
  struct Parts;
  struct OneRow;

  explicit CscSource(CscParts parts) : parts_(std::move(parts)) {}
  Status read_offsets(MemoryBudget& budget);
  Status count_rows(MemoryBudget& budget);
  void fill_traits();
  void choose_part();
  Status measure_pass();

  std::uint64_t n_entries() const { return parts_.data->size(); }
  // The elements of a part.
  struct Elements {
    std::uint64_t first = 0, last = 0;
    std::uint64_t size() const { return last - first; }
  };
  Elements elements_of(std::uint64_t part) const;
  ColIndex column_of(std::uint64_t element) const;
  Parts parts(Carver& memory) const;
  OneRow one_row(Carver& memory) const;
  Status hand_out(std::span<const RowRange> wanted, const TurnedRows& turned, RowSink& sink) const;
  Status bad_row(std::uint64_t element) const;

  const CscParts parts_;
  SourceTraits traits_;
  std::vector<std::uint32_t> lengths_;  // by row
  Reservation held_;                    // of it
  RowOffsets offsets_;                  // of columns
  std::uint64_t part_elements_ = 1;
  ReadCost pass_;
  ByteCount part_stored_ = 0;
};

}  // namespace penstock::anndata
