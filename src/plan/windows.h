// Ranks, batches and windows: cuts of the tape in rows. Pure functions.
//
// Rank r of R takes tape rows [rN/R, (r+1)N/R), in as many batches as every other rank. Its batches are cut
// into windows of about equal size, at most `window_rows` rows; no batch spans windows. The first windows of
// epoch 0 ramp up (1/8, 1/4, 1/2, 3/4) so that the first batch of a run comes soon.
//
// Note [No lone row]. Where batches are to hold more than one row, none holds a single one: batch
// normalisation cannot train on it, and a rank that fails makes the others wait. Batches are of batch_size
// rows and the last has what is left; where that would be one row, or none because another rank has one more
// (and batch counts must be equal), the last two batches share what is left for both, the larger one first:
// 32 + 1 rows become 17 + 16, and 32 rows beside a rank of 33 become 16 + 16. Sharing two or three rows would
// not do: with a batch_size of 2 or 3 there may be one batch less, and the last two are larger, up to
// most_batch_rows(). Two cases remain, and Share tells: a rank with one row in all, and ranks without any
// (fewer rows than ranks), which deliver a row of another one again (`repeat`). With a batch_size of 1 the
// ranks with fewer rows repeat their last one instead. BatchCut is the rule, for every use of it.
#pragma once

#include <cstdint>
#include <optional>

namespace penstock::plan {

// Rows [0, rows) of a share in n batches.
struct BatchCut {
  std::uint64_t rows = 0, n = 0;
  std::uint64_t size = 1;  // what a batch is asked to hold
  // Rows before batch b; all of them when b >= n.
  std::uint64_t before(std::uint64_t b) const;
  std::uint64_t rows_of(std::uint64_t b) const { return before(b + 1) - before(b); }
};

// The most rows that a batch can have.
inline std::uint64_t most_batch_rows(std::uint64_t batch_size) {
  return batch_size == 2 || batch_size == 3 ? 4 : batch_size;
}

struct Share {
  std::uint64_t first = 0, last = 0;  // tape rows that are delivered
  std::uint64_t n_batches = 0;        // equal on every rank
  std::uint64_t batch_size = 1;
  bool repeat = false;           // the last batch repeats row repeat_row
  std::uint64_t repeat_row = 0;  // tape row

  std::uint64_t rows() const { return last - first; }
  // Of its own rows, which the repeated one is not.
  BatchCut batches() const { return {rows(), n_batches - (repeat ? 1 : 0), batch_size}; }
};

// batch_size > 0, rank < world_size.
Share rank_share(std::uint64_t n_rows, std::uint32_t rank, std::uint32_t world_size, std::uint64_t batch_size,
                 bool drop_last);

struct WindowSpan {
  std::uint64_t first = 0;  // tape row
  std::uint64_t rows = 0;
  std::uint64_t first_batch = 0;  // number within the epoch
  std::uint64_t n_batches = 0;
  bool repeat = false;  // the one-row window that evens out ranks
  BatchCut share;       // that the window's batches are some of

  // Rows of the window before its batch b; all of them when b >= n_batches.
  std::uint64_t before(std::uint64_t b) const {
    return b >= n_batches ? rows : share.before(first_batch + b) - share.before(first_batch);
  }
};

// The windows of one rank's epoch, in order.
class WindowSequence {
 public:
  // Of window_rows / batch_size batches at most (at least one).
  WindowSequence(const Share& share, std::uint64_t window_rows, bool ramp);
  std::optional<WindowSpan> next();
  // Leaves out the windows before the one that holds batch `batches`. Returns how many batches of that one,
  // which next() gives, come before it.
  std::uint64_t skip(std::uint64_t batches);

 private:
  Share share_;
  BatchCut batches_;
  std::uint64_t batches_per_window_;
  bool ramp_;
  std::uint64_t batch_ = 0, index_ = 0;
};

}  // namespace penstock::plan
