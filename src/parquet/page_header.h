// The header before each page (parquet.thrift: PageHeader). Its length is known only once it is parsed.
//
// Thread contract: pure function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/types.h"
#include "parquet/metadata.h"

namespace penstock::parquet {

enum class PageType : std::uint8_t { data_v1 = 0, index = 1, dictionary = 2, data_v2 = 3 };

struct PageHeader {
  PageType type = PageType::data_v1;
  std::uint32_t header_bytes = 0;    // of this header
  std::uint32_t stored = 0;          // bytes after it
  std::uint32_t decoded = 0;         // bytes of the page uncompressed, levels included
  std::optional<std::uint32_t> crc;  // CRC-32 of the stored bytes
  std::uint32_t n_values = 0;        // levels: nulls and empty lists included
  Encoding encoding = Encoding::plain;
  Encoding def_encoding = Encoding::rle, rep_encoding = Encoding::rle;  // V1
  std::uint32_t n_nulls = 0, n_rows = 0;                                // V2
  std::uint32_t def_bytes = 0, rep_bytes = 0;                           // V2: levels before the values
  bool is_compressed = true;                                            // V2
};

// What parse_page_header came to. `truncated`: the bytes end inside the header (ask again with more; headers
// are at most kMaxPageHeader). `corrupt`: `what` says why.
struct PageHeaderResult {
  enum class Kind : std::uint8_t { ok, truncated, corrupt } kind = Kind::ok;
  const char* what = "";
};
// Statistics in headers make them longer than the usual 30 bytes.
inline constexpr std::size_t kMaxPageHeader = 1 << 20;

// Parses the header at the beginning of `bytes`. No allocation.
PageHeaderResult parse_page_header(std::span<const std::byte> bytes, PageHeader* out);

}  // namespace penstock::parquet
