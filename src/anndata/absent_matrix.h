// The X of a file that has none: as many rows and columns as its tables say, and an error for who reads them.
//
// Thread contract: immutable.
#pragma once

#include <string>

#include "source/row_source.h"

namespace penstock::anndata {

class AbsentMatrix final : public RowSource, public std::enable_shared_from_this<AbsentMatrix> {
 public:
  // why: what reading a row says.
  AbsentMatrix(std::string label, RowIndex n_rows, ColIndex n_cols, Status why)
      : label_(std::move(label)), why_(std::move(why)) {
    traits_.n_rows = n_rows;
    traits_.n_cols = n_cols;
    traits_.lengths.rows = n_rows;
    traits_.lengths.histogram[0] = n_rows;
    traits_.layout = "absent";
  }

  const SourceTraits& traits() const override { return traits_; }
  const std::string& label() const override { return label_; }
  RowIndex cut(RowIndex first, RowIndex target) const override {
    return target < traits_.n_rows - first ? first + (target == 0 ? 1 : target) : traits_.n_rows;
  }
  ReadCost cost(std::span<const RowRange>) const override { return {}; }
  std::uint64_t most_entries(RowRange) const override { return 0; }
  Status requests(std::span<const RowRange> wanted, Heads, RequestList&) const override {
    return wanted.empty() ? Status() : why_;
  }
  Status decode(std::span<const RowRange> wanted, const Fetched&, Scratch&, RowSink&) const override {
    return wanted.empty() ? Status() : why_;
  }
  ByteCount scratch_bytes(RowIndex) const override { return 0; }
  ByteCount resident_bytes() const override { return 0; }
  Result<std::shared_ptr<const RowSource>> resident(MemoryBudget&) const override {
    return std::static_pointer_cast<const RowSource>(shared_from_this());
  }

 private:
  const std::string label_;
  const Status why_;
  SourceTraits traits_;
};

}  // namespace penstock::anndata
