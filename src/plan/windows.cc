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
}  // namespace

Share rank_share(std::uint64_t n_rows, std::uint32_t rank, std::uint32_t world_size, std::uint64_t batch_size,
                 bool drop_last) {
  Share share;
  if (n_rows == 0) return share;
  share.first = cut(n_rows, rank, world_size);
  share.last = cut(n_rows, std::uint64_t{rank} + 1, world_size);
  if (drop_last) {
    share.n_batches = n_rows / world_size / batch_size;
    share.last = share.first + share.n_batches * batch_size;
    return share;
  }
  share.n_batches = ceil_div(ceil_div(n_rows, world_size), batch_size);
  share.repeat = ceil_div(share.last - share.first, batch_size) < share.n_batches;
  share.repeat_row = share.last == 0 ? 0 : share.last - 1;
  return share;
}

WindowSequence::WindowSequence(const Share& share, std::uint64_t batch_size, std::uint64_t window_rows,
                               bool ramp)
    : share_(share),
      batch_size_(batch_size),
      batches_per_window_(std::max<std::uint64_t>(1, window_rows / batch_size)),
      ramp_(ramp),
      row_(share.first) {}

std::optional<Window> WindowSequence::next() {
  if (row_ < share_.last) {
    // What is left in equal windows: a small last one would be mixed worst, and the next epoch's first would
    // keep the consumer waiting.
    const std::uint64_t left = ceil_div(share_.last - row_, batch_size_);
    const std::uint64_t equal = ceil_div(left, ceil_div(left, batches_per_window_));
    std::uint64_t batches = equal;
    if (ramp_ && index_ < std::size(kRampEighths)) {
      batches = std::clamp<std::uint64_t>(batches_per_window_ * kRampEighths[index_] / 8, 1, equal);
    }
    Window window;
    window.first = row_;
    window.rows = std::min(batches * batch_size_, share_.last - row_);
    window.first_batch = batch_;
    window.n_batches = ceil_div(window.rows, batch_size_);
    row_ += window.rows;
    batch_ += window.n_batches;
    ++index_;
    return window;
  }
  if (share_.repeat && batch_ < share_.n_batches) {
    return Window{share_.repeat_row, 1, batch_++, 1, true};
  }
  return std::nullopt;
}

std::uint64_t WindowSequence::skip(std::uint64_t batches) {
  for (;;) {
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
