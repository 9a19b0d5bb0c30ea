// From the integers that a file names genes by to columns of the matrix.
//
// Thread contract: immutable. Memory: 4 bytes a token of a dense range, else 16 a gene, reserved under
// `index`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/types.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::parquet {

class GeneMap {
 public:
  static constexpr std::uint32_t kUnknown = 0xffffffff;

  // tokens[i] is the token of column i. One that comes twice is invalid_argument.
  static Result<std::shared_ptr<const GeneMap>> create(std::span<const std::int64_t> tokens,
                                                       MemoryBudget& budget);
  // The integer is the column.
  static std::shared_ptr<const GeneMap> identity(ColIndex n_cols);

  ColIndex n_cols() const { return n_cols_; }
  // True when other integers than those of columns are data errors, not genes that the table leaves out.
  bool is_identity() const { return identity_; }
  std::uint32_t column(std::int64_t token) const {
    if (identity_)
      return static_cast<std::uint64_t>(token) < n_cols_ ? static_cast<std::uint32_t>(token) : kUnknown;
    if (!dense_.empty()) {
      const auto at = static_cast<std::uint64_t>(token) - static_cast<std::uint64_t>(first_);
      return at < dense_.size() ? dense_[at] : kUnknown;
    }
    return find(token);
  }

 private:
  std::uint32_t find(std::int64_t token) const;

  bool identity_ = false;
  ColIndex n_cols_ = 0;
  std::int64_t first_ = 0;            // token of dense_[0]
  std::vector<std::uint32_t> dense_;  // by token - first_
  std::vector<std::pair<std::int64_t, std::uint32_t>> sorted_;
  Reservation held_;
};

}  // namespace penstock::parquet
