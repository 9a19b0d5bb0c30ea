#include "plan/worth.h"

#include <algorithm>

#include "base/checked.h"
#include "plan/sizing.h"

namespace penstock::plan {

BatchWorth::BatchWorth(std::uint64_t q, double b, std::uint64_t window_rows, std::optional<std::uint64_t> n,
                       const Share& share)
    : q_(q), b_(b), n_(n) {
  stated_ = effective_rows(static_cast<double>(q), b, static_cast<double>(window_rows));
  const std::uint64_t batches = share.batches().n;
  if (batches == 0) return;
  const std::uint64_t windows = ceil_div(batches, std::max<std::uint64_t>(1, window_rows / share.batch_size));
  // A rank with room for 8 batches in a window and 10 batches in all has two windows of 5, which mix less
  // than the plan's window would.
  stated_ = std::min(stated_, of(ceil_div(share.rows(), windows)));
}

double BatchWorth::of(std::uint64_t s) const {
  const double q = static_cast<double>(q_), rows = static_cast<double>(s);
  if (!n_) return effective_rows(q, b_, rows);
  const double n = static_cast<double>(*n_);
  // A window that holds the whole tape mixes like a full shuffle, whatever its blocks.
  if (rows >= n || b_ >= n || q_ <= 1) return q;
  const double f = std::min(1.0, (b_ - 1) / std::max(1.0, rows - 1));
  return q / (1 + (q - 1) * std::max(0.0, f - (1 - f) * b_ / (n - b_)));
}

}  // namespace penstock::plan
