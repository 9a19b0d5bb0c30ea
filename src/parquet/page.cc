#include "parquet/page.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

namespace penstock::parquet {
namespace {

constexpr std::size_t kLength = sizeof(std::uint32_t);

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

Status read_header(const PageContext& context, std::span<const std::byte> bytes, ByteOffset at,
                   PageHeader* out) {
  const auto parsed = parse_page_header(bytes.first(std::min(bytes.size(), kMaxPageHeader)), out);
  if (parsed.kind != PageHeaderResult::Kind::ok) {
    return context.label.corrupt(at, fmt::format("its header: {}", parsed.what));
  }
  const ByteCount levels = ByteCount{out->def_bytes} + out->rep_bytes;
  if (out->type == PageType::data_v2 && (levels > out->stored || levels > out->decoded)) {
    return context.label.corrupt(at, fmt::format("levels of {} bytes in a page of {}", levels, out->decoded));
  }
  const bool compressed = context.codec != Compression::none && out->is_compressed;
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
    // Pages without values have no compressed bytes either.
    if (!compressed || header.decoded == levels) return {};
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
  }
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
