// A column of categories whose codes are in memory already: nothing is read for it, and any range of rows is
// served at any time.
//
// Thread contract: immutable.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "source/obs_column.h"

namespace penstock {

// `Codes` is called with a row and gives its code, -1 where there is none. A template, so that a row costs no
// call.
template <class Codes>
class CodesInMemory final : public ObsColumn {
 public:
  CodesInMemory(RowIndex n_rows, Codes codes) : n_rows_(n_rows), codes_(std::move(codes)) {}

  ObsKind kind() const override { return ObsKind::category; }
  RowIndex n_rows() const override { return n_rows_; }
  bool streamable() const override { return true; }
  Status requests(RowRange, RequestList&) const override { return {}; }
  ByteCount scratch_bytes(RowIndex) const override { return 0; }
  Status decode(RowRange rows, const Fetched&, Scratch&, std::span<std::byte> out) const override {
    if (rows.last > n_rows_ || out.size() != rows.size() * sizeof(std::int32_t)) {
      return Status::internal("rows of a column in memory that are not there");
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::int32_t code = codes_(rows.first + i);
      std::memcpy(out.data() + i * sizeof(code), &code, sizeof(code));
    }
    return {};
  }

 private:
  const RowIndex n_rows_;
  const Codes codes_;
};

}  // namespace penstock
