// What batches are worth in independent cells, by the window that they come from, in the worst case that all
// rows of a block share a label. Pure functions of numbers.
#pragma once

#include <cstdint>
#include <optional>

#include "plan/windows.h"

namespace penstock::plan {

class BatchWorth {
 public:
  // Batches of q rows - the share's batch_size, or what there is - out of windows of at most `window_rows`
  // rows, in blocks of b rows. `share`: of one rank. n: rows of the tape, when no block comes twice on it.
  BatchWorth(std::uint64_t q, double b, std::uint64_t window_rows, std::optional<std::uint64_t> n,
             const Share& share);

  // Of a window of s rows. Two rows of a batch share a block with probability f = (b - 1) / (s - 1); if they
  // do not, they have one label a little more rarely than by chance, because no block comes twice.
  // So the shares of labels vary as those of q / (1 + (q - 1)(f - (1 - f) b / (n - b))) independent draws;
  // for s much smaller than n that is effective_rows(q, b, s).
  double of(std::uint64_t s) const;
  // What batches of a whole epoch are worth or more, but for those of a first epoch's small windows: that of
  // the mean window. At most effective_rows(q, b, window_rows); less than that where a rank's share is cut
  // into windows a good deal smaller than window_rows.
  double stated() const { return stated_; }
  // These batches are worth less: the window is one of the first epoch's, small so that the first batch comes
  // soon, or one of what those leave of a short share. That windows are whole batches does not count.
  bool less(const WindowSpan& window) const { return of((window.n_batches + 1) * q_) < stated_; }

 private:
  std::uint64_t q_;
  double b_;
  std::optional<std::uint64_t> n_;
  double stated_;
};

}  // namespace penstock::plan
