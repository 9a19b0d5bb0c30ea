// The pages of a column chunk that are in memory, one after the other.
//
// Thread contract: externally synchronised. Memory: decompresses into the scratch it is given; no allocation.
#pragma once

#include <cstddef>
#include <span>

#include "codecs/codec.h"
#include "parquet/page.h"

namespace penstock::parquet {

class PageStream {
 public:
  // `scratch` holds the largest decompressed page: a larger one is `corrupt` (its size was known at open).
  PageStream(const PageContext& context, std::span<std::byte> scratch, CodecContext* codec)
      : context_(context), scratch_(scratch), codec_(codec) {}

  // Goes on with the pages in `bytes`, which lie at file offset `at`.
  void open(std::span<const std::byte> bytes, ByteOffset at);
  // The next data or dictionary page, valid until the next call; *more is false when there is none. Index
  // pages are passed over.
  Status next(Page* page, bool* more);

  const PageContext& context() const { return context_; }
  // The row group that the pages to come are of, for messages.
  void set_row_group(std::size_t number) { context_.label.row_group = number; }
  ByteOffset offset() const { return at_; }  // of the next page

 private:
  PageContext context_;
  std::span<std::byte> scratch_;
  CodecContext* codec_;
  std::span<const std::byte> bytes_;
  ByteOffset at_ = 0;
};

}  // namespace penstock::parquet
