// Ranks and windows: cuts of the tape in rows. Pure functions.
//
// Rank r of R takes tape rows [rN/R, (r+1)N/R). Its share is cut into windows of equal size, at most
// `window_rows` rows and a multiple of the batch size, so that no batch spans windows; the first windows of
// epoch 0 ramp up (1/8, 1/4, 1/2, 3/4) so that the first batch of a run comes soon. Batch counts are equal on
// every rank: where they would differ (by one), the smaller ranks end with one extra one-row batch that
// repeats their last row.
#pragma once

#include <cstdint>
#include <optional>

namespace penstock::plan {

struct Share {
  std::uint64_t first = 0, last = 0;  // tape rows that are delivered
  std::uint64_t n_batches = 0;        // equal on every rank
  bool repeat = false;                // the last batch repeats row repeat_row
  std::uint64_t repeat_row = 0;       // tape row
};

// batch_size > 0, rank < world_size.
Share rank_share(std::uint64_t n_rows, std::uint32_t rank, std::uint32_t world_size, std::uint64_t batch_size,
                 bool drop_last);

struct Window {
  std::uint64_t first = 0;  // tape row
  std::uint64_t rows = 0;
  std::uint64_t first_batch = 0;  // number within the epoch
  std::uint64_t n_batches = 0;
  bool repeat = false;  // the one-row window that evens out ranks
};

// The windows of one rank's epoch, in order.
class WindowSequence {
 public:
  // window_rows is rounded down to a multiple of batch_size (at least one batch).
  WindowSequence(const Share& share, std::uint64_t batch_size, std::uint64_t window_rows, bool ramp);
  std::optional<Window> next();
  // Leaves out the windows before the one that holds batch `batches`. Returns how many batches of that one,
  // which next() gives, come before it.
  std::uint64_t skip(std::uint64_t batches);

 private:
  Share share_;
  std::uint64_t batch_size_, batches_per_window_;
  bool ramp_;
  std::uint64_t row_, batch_ = 0, index_ = 0;
};

}  // namespace penstock::plan
