// PageHeader of parquet.thrift, in the compact protocol (thrift.cc). It stands before each page, and nothing
// says how long it is: it has to be parsed to find out. So it is parsed from bytes that may end inside it,
// and `truncated` asks the caller to come again with more.
//
// A page of 5 values, 24 bytes, compressed to 21:
//
//     15 00          type = DATA_PAGE
//     15 30 15 2a    uncompressed_page_size = 24, compressed_page_size = 21
//     2c             data_page_header begins
//     15 0a          num_values = 5
//     15 10          encoding = 8, RLE_DICTIONARY
//     15 06 15 06    both kinds of level in RLE
//     00 00          its end, and that of the whole
//
// Numbers are zigzag: 30 is 48, and means 24. Statistics, which some writers put into each header, are
// skipped.
#include "parquet/page_header.h"

#include <span>
#include <variant>

#include "parquet/thrift.h"

namespace penstock::parquet {
namespace {

using Field = ThriftReader::Field;

// Thrift leaves out fields at will, and a field that is absent reads as its default. What a page cannot be
// read without is noted here, and missing() asks for it.
struct Seen {
  bool type = false, decoded = false, stored = false, v1 = false, v2 = false, dictionary = false;
};

// Each type of page has a part of its own in the header. What their fields are called in parquet.thrift, and
// where they go, is these tables; one loop reads them all.
struct PartField {
  std::int32_t id;
  std::variant<std::uint32_t PageHeader::*, Encoding PageHeader::*, bool PageHeader::*> to;
};
constexpr PartField kDataPageHeader[] = {
    {1, &PageHeader::n_values},
    {2, &PageHeader::encoding},
    {3, &PageHeader::def_encoding},
    {4, &PageHeader::rep_encoding},
};
constexpr PartField kDictionaryPageHeader[] = {
    {1, &PageHeader::n_values},
    {2, &PageHeader::encoding},
};
constexpr PartField kDataPageHeaderV2[] = {
    {1, &PageHeader::n_values},      {2, &PageHeader::n_nulls},   {3, &PageHeader::n_rows},
    {4, &PageHeader::encoding},      {5, &PageHeader::def_bytes}, {6, &PageHeader::rep_bytes},
    {7, &PageHeader::is_compressed},
};

void read(ThriftReader& in, ThriftReader::Type type, std::uint32_t* out) { *out = in.count(type); }
void read(ThriftReader& in, ThriftReader::Type type, bool* out) { *out = in.boolean(type); }
void read(ThriftReader& in, ThriftReader::Type type, Encoding* out) {
  *out = static_cast<Encoding>(in.code(type, "an encoding beyond 255"));
}

void read_part(ThriftReader& in, ThriftReader::Type type, const char* otherwise,
               std::span<const PartField> part, PageHeader* out) {
  in.structure(type, otherwise, [&](const Field& f) {
    for (const PartField& field : part) {
      if (field.id != f.id) continue;
      std::visit([&](auto member) { read(in, f.type, &(out->*member)); }, field.to);
      return true;
    }
    return false;
  });
}

// What must have been there for the page's type.
// Only the part that goes with the type counts: a dictionary page with a data page's part is damaged.
const char* missing(const PageHeader& h, const Seen& seen) {
  if (!seen.type || !seen.decoded || !seen.stored) return "a page header without type or sizes";
  switch (h.type) {
    case PageType::data_v1:
      return seen.v1 ? nullptr : "a data page's header without its part";
    case PageType::data_v2:
      return seen.v2 ? nullptr : "a V2 data page's header without its part";
    case PageType::dictionary:
      return seen.dictionary ? nullptr : "a dictionary page's header without its part";
    case PageType::index:
      return nullptr;
  }
  return "a page of an unknown type";
}

}  // namespace

PageHeaderResult parse_page_header(std::span<const std::byte> bytes, PageHeader* out) {
  using Kind = PageHeaderResult::Kind;
  *out = PageHeader();
  ThriftReader in(bytes);
  Seen seen;
  in.fields([&](const Field& f) {
    switch (f.id) {
      case 1: {
        const std::int64_t type = in.integer(f.type);
        if (type < 0 || type > 3) in.fail("a page of an unknown type");
        out->type = static_cast<PageType>(type);
        seen.type = true;
        return true;
      }
      case 2:
        out->decoded = in.count(f.type);
        seen.decoded = true;
        return true;
      case 3:
        out->stored = in.count(f.type);
        seen.stored = true;
        return true;
      case 4:
        // Stored as a signed number; the bits are those of the checksum.
        out->crc = static_cast<std::uint32_t>(in.integer(f.type));
        return true;
      case 5:
        read_part(in, f.type, "a data page's header that is no struct", kDataPageHeader, out);
        seen.v1 = true;
        return true;
      case 7:
        read_part(in, f.type, "a dictionary page's header that is no struct", kDictionaryPageHeader, out);
        seen.dictionary = true;
        return true;
      case 8:
        read_part(in, f.type, "a V2 data page's header that is no struct", kDataPageHeaderV2, out);
        seen.v2 = true;
        return true;
      default:
        return false;
    }
  });
  // A header that ends early is no damage yet: whether there are more bytes to have only the caller knows.
  if (in.failed()) return {in.truncated() ? Kind::truncated : Kind::corrupt, in.what()};
  if (const char* what = missing(*out, seen)) return {Kind::corrupt, what};
  out->header_bytes = static_cast<std::uint32_t>(in.position());
  return {};
}

}  // namespace penstock::parquet
