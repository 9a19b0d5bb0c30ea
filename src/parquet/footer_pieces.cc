// A window over the footer that only moves forward. When a string lies across its end, the part that was not
// read yet moves to the front and the file fills up the rest:
//
//     before   [ read already | unread ]             the file goes on at at_
//     after    [ unread | more of the file ]
//
// The window has 256 KiB, or as much as a longer string takes that has to be in memory in one piece. It only
// grows: another long string is likely to follow (bounds of strings, JSON of pandas).
#include "parquet/footer_pieces.h"

#include <algorithm>
#include <cstring>

namespace penstock::parquet {
namespace {
constexpr std::size_t kWindow = 256 << 10;
}

std::span<const std::byte> FooterPieces::next(std::size_t unread, std::uint64_t pass, std::size_t wanted) {
  if (!status_.ok()) return {};
  // Skipped bytes are left out of the file's reading altogether. The reader has checked pass + wanted <=
  // unread + left(), so that at_ stays within the footer.
  at_ += pass;
  status_ = load(unread, wanted);
  if (!status_.ok()) return {};
  return std::span<const std::byte>(window_).first(filled_);
}

Status FooterPieces::load(std::size_t unread, std::size_t wanted) {
  const auto all = unread + (end_ - at_);
  const std::size_t size = std::max<std::size_t>(wanted, std::min<std::uint64_t>(kWindow, all));
  if (size > window_.size()) {
    // Both windows exist while the unread part is copied, and both are charged for that long.
    PENSTOCK_RETURN_IF_ERROR(memory_.add(size));
    std::vector<std::byte> larger(size);
    if (unread > 0) std::memcpy(larger.data(), window_.data() + filled_ - unread, unread);
    memory_.drop(window_.size());
    window_ = std::move(larger);
  } else if (unread > 0) {
    std::memmove(window_.data(), window_.data() + filled_ - unread, unread);
  }
  const std::size_t more = std::min<std::uint64_t>(window_.size() - unread, end_ - at_);
  if (more > 0) PENSTOCK_RETURN_IF_ERROR(file_.read_at(at_, std::span(window_).subspan(unread, more)));
  at_ += more;
  filled_ = unread + more;
  return {};
}

}  // namespace penstock::parquet
