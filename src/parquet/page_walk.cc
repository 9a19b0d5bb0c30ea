#include "parquet/page_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "memory/reserve_for.h"

namespace penstock::parquet {
namespace {

// Headers and levels of a page of lists of a thousand entries take less.
constexpr ByteCount kFirstLook = 16 << 10;
constexpr ByteCount kLevelsLook = 4 << 10;

std::uint32_t load_u32(const std::byte* p) {
  std::uint32_t value = 0;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

}  // namespace

Status PageWalker::grow_buffers(ByteCount stored, ByteCount head, std::uint64_t starts) {
  stored = std::max<ByteCount>(stored, stored_.size());
  head = std::max<ByteCount>(head, head_.size());
  starts = std::max<std::uint64_t>(starts, starts_.size());
  const ByteCount bytes = stored + head + starts * sizeof(std::uint32_t) + CodecContext::fixed_bytes();
  if (bytes > held_.bytes()) {
    PENSTOCK_RETURN_IF_ERROR(resize_for(file_.label(), budget_, held_, MemoryTag::scratch, bytes));
  }
  stored_.resize(stored);
  head_.resize(head);
  starts_.resize(starts);
  return {};
}

// Bytes [at, at + bytes) into stored_, or those up to `end`.
Status PageWalker::load(ByteOffset at, ByteCount bytes, ByteOffset end) {
  bytes = std::min<ByteCount>(bytes, end - at);
  if (at >= stored_at_ && at + bytes <= stored_at_ + stored_bytes_) return {};
  const ByteCount much = std::min<ByteCount>(std::max(bytes, kFirstLook), end - at);
  PENSTOCK_RETURN_IF_ERROR(grow_buffers(much, 0, 0));
  stored_bytes_ = 0;
  PENSTOCK_RETURN_IF_ERROR(file_.read_at(at, std::span(stored_).first(much)));
  stored_at_ = at;
  stored_bytes_ = much;
  return {};
}

Status PageWalker::read_header_at(const PageContext& context, ByteOffset at, ByteOffset end,
                                  PageHeader* out) {
  for (ByteCount look = 1024;; look *= 8) {
    PENSTOCK_RETURN_IF_ERROR(load(at, look, end));
    const auto bytes =
        std::span<const std::byte>(stored_).subspan(at - stored_at_, stored_at_ + stored_bytes_ - at);
    const auto parsed = parse_page_header(bytes, out);
    const bool all = bytes.size() == end - at || bytes.size() >= kMaxPageHeader;
    if (parsed.kind == PageHeaderResult::Kind::truncated && !all) continue;
    // Says what is wrong with it, if anything.
    return read_header(context, bytes, at, out);
  }
}

// The first `bytes` decompressed bytes of a V1 page.
Status PageWalker::head_v1(const PageContext& context, const WalkedPage& page, ByteOffset end,
                           ByteCount bytes, std::span<const std::byte>* out) {
  const ByteOffset body = page.offset + page.header.header_bytes;
  const ByteCount decoded = context.codec == Compression::none ? page.header.stored : page.header.decoded;
  if (bytes > decoded) {
    return context.label.corrupt(page.offset,
                                 fmt::format("levels of {} bytes in a page of {}", bytes, decoded));
  }
  if (context.codec == Compression::lz4_hadoop) {
    // Its heads cannot be told: the whole page.
    PENSTOCK_RETURN_IF_ERROR(load(body, page.header.stored, end));
    PENSTOCK_RETURN_IF_ERROR(grow_buffers(0, decoded, 0));
    const auto have = std::span<const std::byte>(stored_).subspan(body - stored_at_, page.header.stored);
    const DecodeResult result = decompress(context.codec, have, std::span(head_).first(decoded), codec_);
    if (!result.ok()) return context.label.corrupt(page.offset, result.describe());
    *out = std::span<const std::byte>(head_).first(bytes);
    return {};
  }
  for (ByteCount look = bytes + kLevelsLook;; look *= 4) {
    const ByteCount stored = std::min<ByteCount>(look, page.header.stored);
    PENSTOCK_RETURN_IF_ERROR(load(body, stored, end));
    const auto have = std::span<const std::byte>(stored_).subspan(body - stored_at_, stored);
    if (context.codec == Compression::none) {
      *out = have.first(std::min<ByteCount>(bytes, have.size()));
    } else {
      PENSTOCK_RETURN_IF_ERROR(grow_buffers(0, bytes, 0));
      *out = std::span<const std::byte>(head_).first(
          decompress_head(context.codec, have, std::span(head_).first(bytes), codec_));
    }
    if (out->size() == bytes) return {};
    if (stored == page.header.stored) {
      return context.label.corrupt(page.offset, fmt::format("{}: the page's levels cannot be decompressed",
                                                            compression_name(context.codec)));
    }
  }
}

Status PageWalker::levels(const PageContext& context, const Leaf& column, std::uint64_t rows, ByteOffset end,
                          WalkedPage* page) {
  const PageHeader& header = page->header;
  std::span<const std::byte> rep, def;
  if (header.type == PageType::data_v2) {
    const ByteCount bytes = ByteCount{header.rep_bytes} + header.def_bytes;
    if (bytes > header.stored) {
      return context.label.corrupt(page->offset,
                                   fmt::format("levels of {} bytes in a page of {}", bytes, header.stored));
    }
    const ByteOffset body = page->offset + header.header_bytes;
    PENSTOCK_RETURN_IF_ERROR(load(body, bytes, end));
    rep = std::span<const std::byte>(stored_).subspan(body - stored_at_, header.rep_bytes);
    def = std::span<const std::byte>(stored_).subspan(body - stored_at_ + header.rep_bytes, header.def_bytes);
  } else {
    if (header.rep_encoding != Encoding::rle ||
        (column.max_def > 0 && header.def_encoding != Encoding::rle)) {
      return context.label.unsupported(page->offset, "levels in " + encoding_name(header.rep_encoding));
    }
    // A length, the levels, and the same again; asked for in growing pieces.
    std::span<const std::byte> head;
    PENSTOCK_RETURN_IF_ERROR(head_v1(context, *page, end, sizeof(std::uint32_t), &head));
    const ByteCount rep_bytes = load_u32(head.data());
    ByteCount need = sizeof(std::uint32_t) + rep_bytes;
    ByteCount def_bytes = 0;
    if (column.max_def > 0) {
      PENSTOCK_RETURN_IF_ERROR(head_v1(context, *page, end, need + sizeof(std::uint32_t), &head));
      def_bytes = load_u32(head.data() + need);
      need += sizeof(std::uint32_t) + def_bytes;
    }
    PENSTOCK_RETURN_IF_ERROR(head_v1(context, *page, end, need, &head));
    rep = head.subspan(sizeof(std::uint32_t), rep_bytes);
    def = head.last(def_bytes);
  }
  const std::uint64_t most = std::min<std::uint64_t>(header.n_values, rows);
  PENSTOCK_RETURN_IF_ERROR(grow_buffers(0, 0, most));
  const DecodeError error = list_starts(rep, def, column.max_def, column.element_def, column.list_def,
                                        header.n_values, std::span(starts_).first(most), &page->list);
  if (error != DecodeError::ok) {
    return context.label.corrupt(page->offset, std::string("levels: ") + describe(error));
  }
  page->starts = std::span<const std::uint32_t>(starts_).first(page->list.rows);
  return {};
}

Result<ByteOffset> PageWalker::walk(const FileMetadata& metadata, std::size_t row_group, std::size_t number,
                                    PageLimits* limits, const std::function<Status(const WalkedPage&)>& f) {
  const RowGroup& group = metadata.row_groups[row_group];
  const ColumnChunk& chunk = group.columns[number];
  const Leaf& column = metadata.columns[number];
  const PageContext context{
      chunk.codec, column.max_def, column.max_rep, {&file_.label(), &column.path, row_group}};
  if (held_.bytes() == 0) {
    PENSTOCK_ASSIGN_OR_RETURN(held_, reserve_for(file_.label(), budget_, MemoryTag::scratch, 1));
  }
  const ByteOffset end = std::min<ByteOffset>(chunk.offset + chunk.bytes + kUndeclaredBytes, file_.size());
  stored_bytes_ = 0;  // bytes of another chunk are of no use
  std::uint64_t values = 0, rows = 0;
  ByteOffset at = chunk.offset;
  while (values < chunk.n_values) {
    if (at >= chunk.offset + chunk.bytes) {
      return context.label.corrupt(
          at, fmt::format("the column chunk ends after {} of {} values", values, chunk.n_values));
    }
    WalkedPage page;
    page.offset = at;
    PENSTOCK_RETURN_IF_ERROR(read_header_at(context, at, end, &page.header));
    const ByteOffset next = at + page.header.header_bytes + page.header.stored;
    if (next > end) {
      return context.label.corrupt(at, fmt::format("the page has {} bytes, {} are left of its column chunk",
                                                   page.header.stored, end - at - page.header.header_bytes));
    }
    page.scratch = page_scratch(context, page.header);
    if (page.header.type != PageType::index) limits->page = std::max(limits->page, page.scratch);
    if (page.header.type == PageType::dictionary) {
      limits->dictionary = std::max<std::uint64_t>(limits->dictionary, page.header.n_values);
      PENSTOCK_RETURN_IF_ERROR(f(page));
    } else if (page.header.type != PageType::index) {
      if (column.max_rep > 0) {
        PENSTOCK_RETURN_IF_ERROR(levels(context, column, group.n_rows, end, &page));
        limits->positions = std::max<std::uint64_t>(limits->positions, page.list.rows);
        rows += page.list.rows;
        if (rows > group.n_rows) {
          return context.label.corrupt(at,
                                       fmt::format("more rows than the {} of the row group", group.n_rows));
        }
      }
      PENSTOCK_RETURN_IF_ERROR(f(page));
      values += page.header.n_values;
    }
    at = next;
  }
  if (values != chunk.n_values) {
    return context.label.corrupt(
        chunk.offset, fmt::format("pages of {} values, the footer says {}", values, chunk.n_values));
  }
  if (column.max_rep > 0 && rows != group.n_rows) {
    return context.label.corrupt(chunk.offset,
                                 fmt::format("{} rows in its pages, {} in the footer", rows, group.n_rows));
  }
  return at;
}

}  // namespace penstock::parquet
