#include "plan/windows.h"

#include <algorithm>
#include <iterator>

#include "base/checked.h"

namespace penstock::plan {
namespace {
// floor(n * r / world) without overflow.
std::uint64_t cut(std::uint64_t n, std::uint64_t r, std::uint64_t world) {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(n) * r / world);
}

// Sizes of the first windows of epoch 0, in eighths. A window's batches come when all of it is decoded, so
// where the model is about as fast as the loader each step makes it wait for what the step is larger than the
// one before; the last step is small because it is the longest to decode.
constexpr std::uint64_t kRampEighths[] = {1, 2, 4, 6};

// Note [No lone row]. Ranks have `least` rows or one more. Example: 100 rows on 3 ranks are 33, 33 and 34. In
// batches of 16 all of them have 3: 34 rows are 16 + 16 + 2, and 33 rows, of which a single one would be
// left, are 16 + 9 + 8. In batches of 32 they are 17 + 16, 17 + 16 and 32 + 2. In batches of 2 there are 16
// and not 17, and the last two are 3 + 2, 3 + 2 and 3 + 3.
std::uint64_t count_batches(std::uint64_t least, std::uint64_t most, std::uint64_t batch_size) {
  const std::uint64_t batches = ceil_div(most, batch_size);
  // The last two share four rows or more.
  return batches > 1 && batch_size > 1 && least < (batches - 2) * batch_size + 4 ? batches - 1 : batches;
}
}  // namespace

// Rows before batch b. All batches are full but the last two, which share what is left where the last one
// would have a single row, or more than a batch has. 9 rows in batches of 4 are 4, 3 and 2, not 4, 4 and 1;
// 5 rows in 2 batches of 4 are 3 and 2.
std::uint64_t BatchCut::before(std::uint64_t b) const {
  if (b >= n) return rows;
  const std::uint64_t full = b * size;
  if (b + 1 < n || n < 2 || size == 1) return full;
  const std::uint64_t left = rows - full;
  return left >= 2 && left <= size ? full : rows - (size + left) / 2;
}

Share rank_share(std::uint64_t n_rows, std::uint32_t rank, std::uint32_t world_size, std::uint64_t batch_size,
                 bool drop_last) {
  Share share;
  share.batch_size = batch_size;
  if (n_rows == 0) return share;
  share.first = cut(n_rows, rank, world_size);
  share.last = cut(n_rows, std::uint64_t{rank} + 1, world_size);
  if (drop_last) {
    // What the smallest rank has in full batches.
    share.n_batches = n_rows / world_size / batch_size;
    share.last = share.first + share.n_batches * batch_size;
    return share;
  }
  share.n_batches = count_batches(n_rows / world_size, ceil_div(n_rows, world_size), batch_size);
  // Only where batches are of one row, or a rank has none at all; else count_batches() has seen to it.
  share.repeat = share.rows() < share.n_batches;
  share.repeat_row = share.last == 0 ? 0 : share.last - 1;
  return share;
}

WindowSequence::WindowSequence(const Share& share, std::uint64_t window_rows, bool ramp)
    : share_(share),
      batches_(share.batches()),
      batches_per_window_(std::max<std::uint64_t>(1, window_rows / share.batch_size)),
      ramp_(ramp) {}

std::optional<WindowSpan> WindowSequence::next() {
  if (batch_ < batches_.n) {
    // What is left in equal windows: a small last one would be mixed worst, and the next epoch's first would
    // keep the consumer waiting.
    const std::uint64_t left = batches_.n - batch_;
    // With 10 batches left and room for 8, two windows of 5.
    const std::uint64_t equal = ceil_div(left, ceil_div(left, batches_per_window_));
    std::uint64_t n_batches = equal;
    if (ramp_ && index_ < std::size(kRampEighths)) {
      // The ramp moves where windows end and nothing else: batches are cut by BatchCut, with a ramp or
      // without.
      n_batches = std::clamp<std::uint64_t>(batches_per_window_ * kRampEighths[index_] / 8, 1, equal);
    }
    const std::uint64_t before = batches_.before(batch_);
    WindowSpan window{share_.first + before,
                      batches_.before(batch_ + n_batches) - before,
                      batch_,
                      n_batches,
                      false,
                      batches_};
    batch_ += n_batches;
    ++index_;
    return window;
  }
  if (share_.repeat && batch_ < share_.n_batches) {
    return WindowSpan{share_.repeat_row, 1, batch_++, 1, true, batches_};
  }
  return std::nullopt;
}

std::uint64_t WindowSequence::skip(std::uint64_t batches) {
  for (;;) {
    // Window by window rather than computed, so that there is no second rule which could differ from next().
    const WindowSequence before = *this;
    const auto window = next();
    if (!window) return 0;
    if (batches < window->first_batch + window->n_batches) {
      *this = before;
      return batches - window->first_batch;
    }
  }
}

}  // namespace penstock::plan
