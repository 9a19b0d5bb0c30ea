#include "parquet/page_header.h"

#include <limits>

#include "parquet/thrift.h"

namespace penstock::parquet {
namespace {

using Field = ThriftReader::Field;

// A size or count: 32 bits, not negative.
std::uint32_t count(ThriftReader& in, ThriftReader::Type type) {
  const std::int64_t value = in.integer(type);
  if (value < 0 || value > std::numeric_limits<std::int32_t>::max()) {
    in.fail("a negative or too large size");
    return 0;
  }
  return static_cast<std::uint32_t>(value);
}

Encoding encoding(ThriftReader& in, ThriftReader::Type type) {
  const std::int64_t value = in.integer(type);
  if (value < 0 || value > 255) in.fail("an encoding beyond 255");
  return static_cast<Encoding>(value);
}

struct Seen {
  bool type = false, decoded = false, stored = false, v1 = false, v2 = false, dictionary = false;
};

void data_page(ThriftReader& in, PageHeader* out) {
  if (!in.enter()) return;
  for (Field f; in.next_field(&f);) {
    switch (f.id) {
      case 1:
        out->n_values = count(in, f.type);
        break;
      case 2:
        out->encoding = encoding(in, f.type);
        break;
      case 3:
        out->def_encoding = encoding(in, f.type);
        break;
      case 4:
        out->rep_encoding = encoding(in, f.type);
        break;
      default:
        in.skip(f.type);
    }
  }
  in.leave();
}

void dictionary_page(ThriftReader& in, PageHeader* out) {
  if (!in.enter()) return;
  for (Field f; in.next_field(&f);) {
    switch (f.id) {
      case 1:
        out->n_values = count(in, f.type);
        break;
      case 2:
        out->encoding = encoding(in, f.type);
        break;
      default:
        in.skip(f.type);
    }
  }
  in.leave();
}

void data_page_v2(ThriftReader& in, PageHeader* out) {
  if (!in.enter()) return;
  for (Field f; in.next_field(&f);) {
    switch (f.id) {
      case 1:
        out->n_values = count(in, f.type);
        break;
      case 2:
        out->n_nulls = count(in, f.type);
        break;
      case 3:
        out->n_rows = count(in, f.type);
        break;
      case 4:
        out->encoding = encoding(in, f.type);
        break;
      case 5:
        out->def_bytes = count(in, f.type);
        break;
      case 6:
        out->rep_bytes = count(in, f.type);
        break;
      case 7:
        out->is_compressed = in.boolean(f.type);
        break;
      default:
        in.skip(f.type);
    }
  }
  in.leave();
}

// What must have been there for the page's type.
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
  for (Field f; in.next_field(&f);) {
    switch (f.id) {
      case 1: {
        const std::int64_t type = in.integer(f.type);
        if (type < 0 || type > 3) in.fail("a page of an unknown type");
        out->type = static_cast<PageType>(type);
        seen.type = true;
        break;
      }
      case 2:
        out->decoded = count(in, f.type);
        seen.decoded = true;
        break;
      case 3:
        out->stored = count(in, f.type);
        seen.stored = true;
        break;
      case 4:
        out->crc = static_cast<std::uint32_t>(in.integer(f.type));
        break;
      case 5:
        if (f.type != ThriftReader::kStruct) in.fail("a data page's header that is no struct");
        data_page(in, out);
        seen.v1 = true;
        break;
      case 7:
        if (f.type != ThriftReader::kStruct) in.fail("a dictionary page's header that is no struct");
        dictionary_page(in, out);
        seen.dictionary = true;
        break;
      case 8:
        if (f.type != ThriftReader::kStruct) in.fail("a V2 data page's header that is no struct");
        data_page_v2(in, out);
        seen.v2 = true;
        break;
      default:
        in.skip(f.type);
    }
  }
  if (in.failed()) return {in.truncated() ? Kind::truncated : Kind::corrupt, in.what()};
  if (const char* what = missing(*out, seen)) return {Kind::corrupt, what};
  out->header_bytes = static_cast<std::uint32_t>(in.position());
  return {};
}

}  // namespace penstock::parquet
