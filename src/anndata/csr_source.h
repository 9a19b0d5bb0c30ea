// Rows of a CSR matrix stored as AnnData does: three 1-d arrays data, indices and indptr, each cut into
// chunks of its own grid.
//
// Open costs one streaming pass over indptr and keeps 4 bytes a chunk of data and indices. Reading a block
// costs the chunks of data and indices that its rows touch (their last ones only as far as the rows go, where
// the codec can) and, unless resident, the chunks of indptr that hold its offsets.
//
// Thread contract: immutable. Ownership: keeps the arrays, and through them the file, open.
#pragma once

#include <memory>
#include <string>

#include "anndata/indptr.h"
#include "anndata/row_table.h"
#include "anndata/sparse_parts.h"
#include "penstock/memory_budget.h"
#include "source/row_source.h"
#include "store/store.h"

namespace penstock::anndata {

class CsrSource final : public RowSource {
 public:
  // Checks types, ranks, lengths and all of indptr. Errors: `corrupt` naming array and row, `unsupported`
  // naming the type, `budget`.
  static Result<std::shared_ptr<const CsrSource>> open(CsrParts parts, MemoryBudget& index_budget);

  const SourceTraits& traits() const override;
  const std::string& label() const override;
  RowIndex cut(RowIndex first, RowIndex target) const override;
  ReadCost cost(std::span<const RowRange> wanted) const override;
  std::uint64_t most_entries(RowRange rows) const override;
  Status requests(std::span<const RowRange> wanted, Heads heads, RequestList& list) const override;
  Status decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                RowSink& sink) const override;
  ByteCount scratch_bytes(RowIndex max_rows) const override;
  ByteCount resident_bytes() const override;
  Result<std::shared_ptr<const RowSource>> resident(MemoryBudget& budget) const override;

  const store::Array& data() const { return *opened_->parts.data; }
  const store::Array& indices() const { return *opened_->parts.indices; }
  const store::Array& indptr() const { return *opened_->parts.indptr; }

 private:
  // What a source and its resident twin share.
  struct Opened {
    CsrParts parts;
    SourceTraits traits;
    std::shared_ptr<const RowTable> data_rows, index_rows;  // the same one when the grids are equal
    OffsetBounds bounds;
  };
  struct Layout;

  CsrSource(std::shared_ptr<const Opened> opened, std::shared_ptr<const RowOffsets> offsets)
      : opened_(std::move(opened)), offsets_(std::move(offsets)) {}
  Layout layout(RowIndex rows) const;
  void add_entry_requests(const store::Array& array, const RowTable& rows, std::span<const RowRange> wanted,
                          Heads heads, RequestList& list) const;
  std::uint64_t expected_end(const store::Array& array, const RowTable& rows, RowIndex row,
                             std::uint64_t chunk) const;
  ByteCount decoded_bytes(const store::Array& array, const RowTable& rows,
                          std::span<const RowRange> wanted) const;
  struct Elements {
    std::uint64_t first = 0, last = 0;
  };
  Elements likely_elements(const RowTable& rows, RowRange range) const;
  Status read_offsets(std::span<const RowRange> wanted, const Fetched& fetched, CodecContext& codec,
                      const Layout& at, std::byte* scratch) const;

  std::shared_ptr<const Opened> opened_;
  std::shared_ptr<const RowOffsets> offsets_;  // null: read with each block
};

}  // namespace penstock::anndata
