// A page in memory: header, checksum, decompression, levels apart from values.
//
// Sources: parquet-format README "Data Pages", Encodings.md.
// Thread contract: pure functions into the caller's scratch. No allocation on the success path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/types.h"
#include "codecs/codec.h"
#include "parquet/metadata.h"
#include "parquet/page_header.h"
#include "penstock/status.h"

namespace penstock::parquet {

// Where the pages of a chunk belong, for messages: "a.parquet: row group 3, column genes.list.element".
struct ChunkLabel {
  const std::string* file = nullptr;
  const std::string* column = nullptr;
  std::uint64_t row_group = 0;
  std::string text() const;
  // "..., page at byte 4711: " + what
  Status corrupt(ByteOffset page, const std::string& what) const;
  Status unsupported(ByteOffset page, const std::string& what) const;
};

// What reading a page needs to know of its column.
struct PageContext {
  Compression codec = Compression::none;
  std::uint8_t max_def = 0, max_rep = 0;
  ChunkLabel label;
};

// Views into the stored bytes or the scratch, valid as long as both.
struct Page {
  PageType type = PageType::data_v1;
  std::uint64_t n_values = 0;  // levels, nulls included (dictionary: entries)
  Encoding encoding = Encoding::plain;
  std::span<const std::byte> rep_levels, def_levels;  // RLE hybrid without the length prefix; empty: none
  std::span<const std::byte> values;
  ByteOffset offset = 0;  // in the file, of its header
};

// A column chunk begins with a row: entries before its first one belong to none.
Status begins_inside_a_row(const ChunkLabel& label, ByteOffset page);

// The header of the page at the beginning of `bytes`, which lie at file offset `at`. `corrupt` when it is
// damaged, cut short, or says more than max_decompressed(stored).
Status read_header(const PageContext& context, std::span<const std::byte> bytes, ByteOffset at,
                   PageHeader* out);

// The page after its header: `body` are its stored bytes. `scratch` holds at least page_scratch(header).
Status read_page(const PageContext& context, const PageHeader& header, std::span<const std::byte> body,
                 ByteOffset at, std::span<std::byte> scratch, CodecContext& codec, Page* out);

// Bytes of scratch that read_page needs: 0 for uncompressed pages.
ByteCount page_scratch(const PageContext& context, const PageHeader& header);

}  // namespace penstock::parquet
