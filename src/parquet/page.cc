// One page: its header checked, its checksum compared, its bytes decompressed, and its levels told apart from
// its values (parquet-format README, "Data Pages"; the two forms are DataPageHeader and DataPageHeaderV2 of
// parquet.thrift).
//
//     V1    compressed [ length, repetition levels | length, definition levels | values ]
//     V2    repetition levels | definition levels | compressed [ values ]
//
// A level that is always 0 is left out, with its length in V1. V2 has the lengths in its header and may leave
// the values uncompressed, page by page. A dictionary page is a V1 page that has values only.
//
// Sizes are checked in two steps. read_header() refuses a header that contradicts itself, before anything is
// reserved for the page: 100 stored bytes cannot be 2 GB, whatever the codec. read_page() then decompresses
// into memory that was sized by such a header, and the codec refuses to give more or less than the header
// says.
#include "parquet/page.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

namespace penstock::parquet {
namespace {

constexpr std::size_t kLength = sizeof(std::uint32_t);

// The specification's checksum is that of gzip, over the bytes of the page as they are stored, without the
// header.
std::uint32_t crc_of(std::span<const std::byte> bytes) {
  uLong crc = crc32_z(0, nullptr, 0);
  crc = crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  return static_cast<std::uint32_t>(crc);
}

// Levels of a V1 page: a length and as many bytes.
Status take_levels(const PageContext& context, const PageHeader& header, Encoding encoding, const char* what,
                   ByteOffset at, std::span<const std::byte>* bytes, std::span<const std::byte>* levels) {
  if (encoding != Encoding::rle) {
    return context.label.unsupported(at, fmt::format("{} levels in {}", what, encoding_name(encoding)));
  }
  std::uint32_t length = 0;
  // A page that is too short for the length leaves it at 0; both ways of being short share the message below.
  if (bytes->size() >= kLength) std::memcpy(&length, bytes->data(), kLength);
  if (bytes->size() < kLength || length > bytes->size() - kLength) {
    return context.label.corrupt(at, fmt::format("{} levels of {} bytes, {} are left of the page's {}", what,
                                                 length, bytes->size(), header.decoded));
  }
  *levels = bytes->subspan(kLength, length);
  *bytes = bytes->subspan(kLength + length);
  return {};
}

Status decompress_into(const PageContext& context, ByteOffset at, std::span<const std::byte> stored,
                       std::span<std::byte> out, CodecContext& codec) {
  const DecodeResult result = decompress(context.codec, stored, out, codec);
  return result.ok() ? Status() : context.label.corrupt(at, result.describe());
}

}  // namespace

std::string ChunkLabel::text() const {
  return fmt::format("{}: row group {}, column {}", *file, row_group, *column);
}

Status ChunkLabel::corrupt(ByteOffset page, const std::string& what) const {
  return Status::corrupt(fmt::format("{}, page at byte 0x{:x}: {}", text(), page, what));
}

Status ChunkLabel::unsupported(ByteOffset page, const std::string& what) const {
  return Status::unsupported(fmt::format("{}, page at byte 0x{:x}: {}", text(), page, what));
}

Status begins_inside_a_row(const ChunkLabel& label, ByteOffset page) {
  return label.corrupt(page,
                       "the first repetition level of the column chunk must be 0, a new row; it is not, so "
                       "the entries up to the next 0 belong to no row");
}

Status read_header(const PageContext& context, std::span<const std::byte> bytes, ByteOffset at,
                   PageHeader* out) {
  const auto parsed = parse_page_header(bytes.first(std::min(bytes.size(), kMaxPageHeader)), out);
  if (parsed.kind != PageHeaderResult::Kind::ok) {
    return context.label.corrupt(at, fmt::format("its header: {}", parsed.what));
  }
  // V1 has no such fields, and they are 0 there.
  const ByteCount levels = ByteCount{out->def_bytes} + out->rep_bytes;
  if (out->type == PageType::data_v2 && (levels > out->stored || levels > out->decoded)) {
    return context.label.corrupt(at, fmt::format("levels of {} bytes in a page of {}", levels, out->decoded));
  }
  const bool compressed = context.codec != Compression::none && out->is_compressed;
  // Levels of V2 are not compressed and count as they are. An uncompressed page may say that it decodes to
  // fewer bytes than it has, but never to more: values are read from the stored bytes then.
  const ByteCount most =
      compressed ? levels + max_decompressed(context.codec, out->stored - levels) : out->stored;
  if (out->decoded > most) {
    return context.label.corrupt(at, fmt::format("{} stored bytes cannot be {} bytes uncompressed ({})",
                                                 out->stored, out->decoded, compression_name(context.codec)));
  }
  return {};
}

ByteCount page_scratch(const PageContext& context, const PageHeader& header) {
  return context.codec == Compression::none || !header.is_compressed ? 0 : header.decoded;
}

Status read_page(const PageContext& context, const PageHeader& header, std::span<const std::byte> body,
                 ByteOffset at, std::span<std::byte> scratch, CodecContext& codec, Page* out) {
  *out = Page();
  out->type = header.type;
  out->n_values = header.n_values;
  out->encoding = header.encoding;
  out->offset = at;
  // Before decompression: damaged bytes are reported as what they are, and not as a stream that some codec
  // could not read.
  if (header.crc && *header.crc != crc_of(body)) {
    return context.label.corrupt(
        at, fmt::format("stored checksum 0x{:08x}, computed 0x{:08x}", *header.crc, crc_of(body)));
  }
  const bool compressed = page_scratch(context, header) > 0;
  if (header.type == PageType::data_v2) {
    out->rep_levels = body.first(header.rep_bytes);
    out->def_levels = body.subspan(header.rep_bytes, header.def_bytes);
    const ByteCount levels = ByteCount{header.rep_bytes} + header.def_bytes;
    out->values = body.subspan(levels);
    codec.count(compressed ? levels : header.decoded);
    // Pages without values have no compressed bytes either.
    if (!compressed || header.decoded == levels) return {};
    // read_header() has seen to it that levels <= decoded.
    const auto values = scratch.first(header.decoded - levels);
    PENSTOCK_RETURN_IF_ERROR(decompress_into(context, at, out->values, values, codec));
    out->values = values;
    return {};
  }
  std::span<const std::byte> bytes = body;
  if (compressed) {
    const auto page = scratch.first(header.decoded);
    PENSTOCK_RETURN_IF_ERROR(decompress_into(context, at, body, page, codec));
    bytes = page;
  } else {
    codec.count(body.size());
  }
  // Each kind of level is there only if the column can have more than one value of it. A dictionary has
  // neither.
  if (header.type == PageType::data_v1) {
    if (context.max_rep > 0) {
      PENSTOCK_RETURN_IF_ERROR(
          take_levels(context, header, header.rep_encoding, "repetition", at, &bytes, &out->rep_levels));
    }
    if (context.max_def > 0) {
      PENSTOCK_RETURN_IF_ERROR(
          take_levels(context, header, header.def_encoding, "definition", at, &bytes, &out->def_levels));
    }
  }
  out->values = bytes;
  return {};
}

}  // namespace penstock::parquet
