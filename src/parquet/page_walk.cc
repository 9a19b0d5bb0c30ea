#include "parquet/page_walk.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/load.h"
#include "memory/reserve_for.h"

// Only the levels of a page of lists say how many rows begin in it and how long they are, so that opening a
// file of lists means looking at each page. Of a page the header and the levels are read and not the values,
// which are nearly all of it. Where the levels are compressed together with the values (pages of version 1)
// just so much is read and decompressed as has the levels in it: the stored bytes are asked for in growing
// pieces, until what comes out is enough.

namespace penstock::parquet {
namespace {

// Headers and levels of a page of lists of a thousand entries take less.
constexpr ByteCount kFirstLook = 16 << 10;
constexpr ByteCount kLevelsLook = 4 << 10;

}  // namespace

// Bytes [at, at + bytes) into stored_, or those up to `end`.
Status PageWalker::load(ByteOffset at, ByteCount bytes, ByteOffset end) {
  bytes = std::min<ByteCount>(bytes, end - at);
  // The header of a page and its levels are asked for one after the other and mostly lie in one piece.
  if (at >= stored_at_ && at + bytes <= stored_at_ + stored_bytes_) return {};
  const ByteCount much = std::min<ByteCount>(std::max(bytes, kFirstLook), end - at);
  // If the reading fails, nothing in the buffer counts as loaded.
  stored_bytes_ = 0;
  PENSTOCK_RETURN_IF_ERROR(stored_.grow_to(much));
  PENSTOCK_RETURN_IF_ERROR(file_.read_at(at, stored_.first(much)));
  stored_at_ = at;
  stored_bytes_ = much;
  return {};
}

// Most headers have some 30 bytes; one with statistics of long strings may have thousands. Looking at 1, 8,
// 64 KiB, ... reads the usual one at once and the longest in few steps.
Status PageWalker::read_header_at(const PageContext& context, ByteOffset at, ByteOffset end,
                                  PageHeader* out) {
  for (ByteCount look = 1024;; look *= 8) {
    PENSTOCK_RETURN_IF_ERROR(load(at, look, end));
    const auto bytes = loaded(at, stored_at_ + stored_bytes_ - at);
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
  // The number comes from the page itself. Without this check gigabytes could be asked for, for a page that
  // has less.
  if (bytes > decoded) {
    return context.label.corrupt(page.offset,
                                 fmt::format("levels of {} bytes in a page of {}", bytes, decoded));
  }
  if (context.codec == Compression::lz4_hadoop) {
    // Its heads cannot be told: the whole page.
    PENSTOCK_RETURN_IF_ERROR(load(body, page.header.stored, end));
    PENSTOCK_RETURN_IF_ERROR(head_.grow_to(decoded));
    const DecodeResult result =
        decompress(context.codec, loaded(body, page.header.stored), head_.first(decoded), codec_);
    if (!result.ok()) return context.label.corrupt(page.offset, result.describe());
    *out = head_.first(bytes);
    return {};
  }
  // How many stored bytes hold so many decompressed ones is not known before. Levels compress well, and a
  // factor of 4 a step bounds the repeated work by a third of the last step's.
  for (ByteCount look = bytes + kLevelsLook;; look *= 4) {
    const ByteCount stored = std::min<ByteCount>(look, page.header.stored);
    PENSTOCK_RETURN_IF_ERROR(load(body, stored, end));
    const auto have = loaded(body, stored);
    if (context.codec == Compression::none) {
      *out = have.first(std::min<ByteCount>(bytes, have.size()));
    } else {
      PENSTOCK_RETURN_IF_ERROR(head_.grow_to(bytes));
      *out = head_.first(decompress_head(context.codec, have, head_.first(bytes), codec_));
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
    rep = loaded(body, header.rep_bytes);
    def = loaded(body + header.rep_bytes, header.def_bytes);
  } else {
    if (header.rep_encoding != Encoding::rle ||
        (column.max_def > 0 && header.def_encoding != Encoding::rle)) {
      return context.label.unsupported(page->offset, "levels in " + encoding_name(header.rep_encoding));
    }
    // A length, the levels, and the same again; asked for in growing pieces, since only the first length says
    // where the second one is.
    std::span<const std::byte> head;
    PENSTOCK_RETURN_IF_ERROR(head_v1(context, *page, end, sizeof(std::uint32_t), &head));
    const ByteCount rep_bytes = penstock::load<std::uint32_t>(head.data());
    ByteCount need = sizeof(std::uint32_t) + rep_bytes;
    ByteCount def_bytes = 0;
    if (column.max_def > 0) {
      PENSTOCK_RETURN_IF_ERROR(head_v1(context, *page, end, need + sizeof(std::uint32_t), &head));
      def_bytes = penstock::load<std::uint32_t>(head.data() + need);
      need += sizeof(std::uint32_t) + def_bytes;
    }
    PENSTOCK_RETURN_IF_ERROR(head_v1(context, *page, end, need, &head));
    rep = head.subspan(sizeof(std::uint32_t), rep_bytes);
    def = head.last(def_bytes);
  }
  if (column.max_rep > 1) {
    bool inside = false;
    const DecodeError error = nested_rows(rep, column.max_rep, header.n_values, &page->list.rows, &inside);
    if (error != DecodeError::ok) {
      return context.label.corrupt(page->offset, std::string("levels: ") + describe(error));
    }
    page->list.elements_before = inside ? 1 : 0;
    return {};
  }
  // A row that begins has a level of its own, so that no more than n_values begin in the page, and no more
  // than the row group has. Both numbers come from the file; the smaller one bounds what is reserved.
  const std::uint64_t most = std::min<std::uint64_t>(header.n_values, rows);
  PENSTOCK_RETURN_IF_ERROR(starts_.grow_to(most * sizeof(std::uint32_t)));
  const std::span starts(reinterpret_cast<std::uint32_t*>(starts_.bytes().data()), most);
  const DecodeError error = list_starts(rep, def, column.max_def, column.element_def, column.list_def,
                                        header.n_values, starts, &page->list);
  if (error != DecodeError::ok) {
    return context.label.corrupt(page->offset, std::string("levels: ") + describe(error));
  }
  page->starts = starts.first(page->list.rows);
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
    PENSTOCK_ASSIGN_OR_RETURN(
        held_, reserve_for(file_.label(), budget_, MemoryTag::scratch, CodecContext::fixed_bytes()));
  }
  // Pages may end a little behind what the footer declares (see kUndeclaredBytes); they begin before it.
  const ByteOffset end = std::min<ByteOffset>(chunk.offset + chunk.bytes + kUndeclaredBytes, file_.size());
  stored_bytes_ = 0;  // bytes of another chunk are of no use
  std::uint64_t values = 0, rows = 0;
  ByteOffset at = chunk.offset;
  // How many pages a chunk has is written nowhere. They are followed until their values are as many as the
  // footer says. Each step goes on by a header at least, so that the walk ends even where pages say that they
  // hold no values.
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
    // What any page of the column needs is remembered, so that the scratch of an epoch can be reserved before
    // it begins.
    if (page.header.type != PageType::index) limits->page = std::max(limits->page, page.scratch);
    if (page.header.type == PageType::dictionary) {
      limits->dictionary = std::max<std::uint64_t>(limits->dictionary, page.header.n_values);
      PENSTOCK_RETURN_IF_ERROR(f(page));
    } else if (page.header.type != PageType::index) {
      if (column.max_rep > 0) {
        PENSTOCK_RETURN_IF_ERROR(levels(context, column, group.n_rows, end, &page));
        // Of the first page of a chunk nothing can belong to a row before: rows do not cross row groups.
        if (rows == 0 && page.list.elements_before > 0) return begins_inside_a_row(context.label, at);
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
