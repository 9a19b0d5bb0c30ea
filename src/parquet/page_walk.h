// A look at the pages of a column chunk without its values: headers, and of list columns the levels, which
// lie at the beginning of each page. One or two small reads a page, in file order.
//
// Thread contract: externally synchronised. Memory: a head of a page, stored and decompressed, and the row
// starts of a page, reserved from the budget; allocates.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "codecs/codec.h"
#include "io/file.h"
#include "memory/reserved_buffer.h"
#include "parquet/encodings/levels.h"
#include "parquet/metadata.h"
#include "parquet/page.h"
#include "parquet/page_table.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::parquet {

// What was seen of one page.
struct WalkedPage {
  PageHeader header;
  ByteOffset offset = 0;
  ByteCount scratch = 0;  // to decompress it
  // Data pages of list columns only: the rows that begin in it and where (see list_starts). Of columns that
  // are nested deeper only how many.
  ListPage list;
  std::span<const std::uint32_t> starts;
};

class PageWalker {
 public:
  // The budget outlives the walker.
  PageWalker(const File& file, MemoryBudget& budget)
      : file_(file),
        budget_(budget),
        stored_(file.label(), &budget, MemoryTag::scratch),
        head_(file.label(), &budget, MemoryTag::scratch),
        starts_(file.label(), &budget, MemoryTag::scratch) {}

  // Calls f for each dictionary and data page of a column chunk. `limits` is widened to what its pages need.
  // Returns where the last one ends.
  Result<ByteOffset> walk(const FileMetadata& metadata, std::size_t row_group, std::size_t column,
                          PageLimits* limits, const std::function<Status(const WalkedPage&)>& f);

 private:
  Status load(ByteOffset at, ByteCount bytes, ByteOffset end);
  Status read_header_at(const PageContext& context, ByteOffset at, ByteOffset end, PageHeader* out);
  Status levels(const PageContext& context, const Leaf& column, std::uint64_t rows, ByteOffset end,
                WalkedPage* page);
  Status head_v1(const PageContext& context, const WalkedPage& page, ByteOffset end, ByteCount bytes,
                 std::span<const std::byte>* out);
  // Bytes of the file that load() has seen to.
  std::span<const std::byte> loaded(ByteOffset at, ByteCount bytes) {
    return stored_.bytes().subspan(at - stored_at_, bytes);
  }

  const File& file_;
  MemoryBudget& budget_;
  Reservation held_;       // of the codec's context
  ReservedBuffer stored_;  // bytes of the file from stored_at_
  ByteOffset stored_at_ = 0;
  ByteCount stored_bytes_ = 0;    // valid ones
  ReservedBuffer head_, starts_;  // the beginning of a page decompressed; uint32
  CodecContext codec_;
};

}  // namespace penstock::parquet
