// In chunks of 100 elements, with a row of elements 180 to 259: after chunk 1 the window holds [100, 200).
// advance(180, chunk 2) moves elements 180 to 199 to the front of the buffer and decodes chunk 2 behind them,
// so that the window holds [180, 300) and the row lies in one piece.
//
// The bounds hold for files that do not change. What is checked here keeps a file that is written to in the
// meantime from making the engine write outside of the buffer.
#include "anndata/entry_window.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/checked.h"

namespace penstock::anndata {

std::uint64_t EntryWindow::capacity(const RowTable& rows, std::uint64_t longest_row) {
  const auto room = checked_add(longest_row, std::min(rows.chunk_elements(), rows.entries()));
  return room.value_or(~std::uint64_t{0});
}

Status EntryWindow::advance(std::uint64_t need, std::uint64_t chunk, std::uint64_t last,
                            const Fetched& fetched, CodecContext& codec, std::span<std::byte> step,
                            bool* head_too_short) {
  const std::uint64_t start = chunk * chunk_;
  const std::uint64_t n = std::min({chunk_, entries_ - start, last - start});
  // Offsets are checked when they are read, so this says that somebody writes to the file. Going on would
  // read what lies before the buffer.
  if (need < first_) {
    return Status::corrupt(
        fmt::format("{}: row offsets go back to {} after {}: the file changed while it was being read",
                    array_.where(), need, first_));
  }
  if (need >= end_) {
    first_ = end_ = start;
  } else if (end_ - need <= chunk_ || end_ - first_ + n > capacity_) {
    // The rest of a row goes to the front. That of a row over many chunks stays where it is and grows while
    // there is room, so that no element moves more than twice; once its start is at the front there always
    // is.
    std::memmove(buffer_, at(need), (end_ - need) * item_);
    first_ = need;
  }
  PENSTOCK_DCHECK(end_ == start);
  if (end_ - first_ + n > capacity_) [[unlikely]] {
    return Status::corrupt(fmt::format(
        "{}: a row of more than {} elements, the most that were counted when the file was opened: it changed "
        "while it was being read",
        array_.where(), end_ - first_));
  }
  const std::span<std::byte> out(buffer_ + (end_ - first_) * item_, n * item_);
  PENSTOCK_RETURN_IF_ERROR(array_.is_chunked()
                               ? array_.decode_chunk(chunk, fetched, out, step, codec, head_too_short)
                               : array_.decode_range(start, n, fetched, step, codec, out));
  end_ = start + n;
  return {};
}

}  // namespace penstock::anndata
