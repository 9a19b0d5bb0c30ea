// The pages of a column chunk, one after the other, from bytes that were fetched. What a page says of itself
// is compared with what is left of the chunk, and with the scratch that was sized when the file was opened: a
// file that has changed since then, or a header that lies, is an error and never a write beyond the scratch.
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
    // Index pages are named in parquet.thrift and written by nobody; what they would hold is not defined.
    if (header.type == PageType::index) continue;
    if (page_scratch(context_, header) > scratch_.size()) {
      return context_.label.corrupt(at, fmt::format("the page says it has {} bytes uncompressed, at most {} "
                                                    "were expected from what was read at open",
                                                    header.decoded, scratch_.size()));
    }
    *more = true;
    codec_->count(header.header_bytes);  // as the file counts what is uncompressed
    return read_page(context_, header, body, at, scratch_, *codec_, page);
  }
  *more = false;
  return {};
}

}  // namespace penstock::parquet
