#include "parquet/page_stream.h"

#include <fmt/format.h>

namespace penstock::parquet {

void PageStream::open(std::span<const std::byte> bytes, ByteOffset at) {
  bytes_ = bytes;
  at_ = at;
}

Status PageStream::next(Page* page, bool* more) {
  while (!bytes_.empty()) {
    PageHeader header;
    PENSTOCK_RETURN_IF_ERROR(read_header(context_, bytes_, at_, &header));
    const std::size_t left = bytes_.size() - header.header_bytes;
    if (header.stored > left) {
      return context_.label.corrupt(
          at_, fmt::format("the page has {} bytes, {} are left of its column chunk", header.stored, left));
    }
    const ByteOffset at = at_;
    const auto body = bytes_.subspan(header.header_bytes, header.stored);
    bytes_ = bytes_.subspan(header.header_bytes + header.stored);
    at_ += header.header_bytes + header.stored;
    if (header.type == PageType::index) continue;
    if (page_scratch(context_, header) > scratch_.size()) {
      return context_.label.corrupt(at, fmt::format("the page says it has {} bytes uncompressed, at most {} "
                                                    "were expected from what was read at open",
                                                    header.decoded, scratch_.size()));
    }
    *more = true;
    return read_page(context_, header, body, at, scratch_, *codec_, page);
  }
  *more = false;
  return {};
}

}  // namespace penstock::parquet
