// Decoding of triplets: a window of column numbers and one of values move over the pages; where rows end is
// known.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "parquet/coo_source.h"
#include "parquet/element_window.h"

namespace penstock::parquet {
namespace {

constexpr std::uint64_t kTileRows = 256;  // a tile has at most so many
constexpr std::uint64_t kAlign = 64;

}  // namespace

struct CooSource::Layout {
  struct Part {
    ByteCount page = 0, elements = 0, target = 0;
    ByteCount page_bytes = 0, element_bytes = 0;
  };
  Part col, data;
  ByteCount begins = 0, ends = 0, end = 0;
};

CooSource::Layout CooSource::layout() const {
  Layout at;
  const auto place = [&at](ByteCount bytes) {
    const ByteCount begin = at.end;
    at.end += round_up(bytes, kAlign);
    return begin;
  };
  const auto part = [&](const MatrixColumn& column, ByteCount target) {
    Layout::Part p;
    p.page_bytes = column.limits.page;
    p.element_bytes = (traits_.lengths.longest + kSlice) * 8;
    p.page = place(p.page_bytes);
    p.elements = place(p.element_bytes);
    p.target = place(target);
    return p;
  };
  at.col = part(col_, IdTarget::scratch(traits_.n_cols, col_.limits.dictionary));
  at.data = part(data_, ValueTarget::scratch(data_.stored, data_.limits.dictionary));
  at.begins = place(kTileRows * sizeof(std::uint64_t));
  at.ends = place(kTileRows * sizeof(std::uint64_t));
  return at;
}

// And what the codec's context takes.
ByteCount CooSource::scratch_bytes(RowIndex) const {
  return layout().end + std::max(compression_bytes(col_.codec), compression_bytes(data_.codec));
}

class CooSource::Decoder {
 public:
  Decoder(const CooSource& source, Scratch& scratch, const Fetched& fetched, RowSink& sink)
      : s_(source),
        fetched_(fetched),
        sink_(sink),
        at_(source.layout()),
        base_(scratch.bytes.data()),
        // A row may begin in one row group and end in the next, so values keep one type over all of them.
        ids_(*source.map_, source.col_.stored, source.col_.column.type, source.col_.limits.dictionary,
             base_ + at_.col.target),
        numbers_(source.data_.stored, source.data_.column.type, false, true, source.data_.limits.dictionary,
                 base_ + at_.data.target),
        col_{source.col_, window(source.col_, &ids_, at_.col, scratch.codec)},
        data_{source.data_, window(source.data_, &numbers_, at_.data, scratch.codec)} {}

  Status run(RowRange rows) {
    origin_ = s_.ends_.begin(rows.first);
    last_ = s_.ends_.end(rows.last - 1);
    if (origin_ < last_) {
      PENSTOCK_RETURN_IF_ERROR(go_to(col_));
      PENSTOCK_RETURN_IF_ERROR(go_to(data_));
    }
    for (RowIndex row = rows.first; row < rows.last;) {
      const std::uint64_t have = origin_ + std::min(col_.window.end(), data_.window.end());
      RowIndex after = row;
      while (after < std::min(rows.last, row + kTileRows) &&
             (s_.ends_.end(after) <= have || s_.ends_.end(after) == s_.ends_.begin(row))) {
        ++after;
      }
      if (after == row) {
        PENSTOCK_RETURN_IF_ERROR(
            more(col_.window.end() <= data_.window.end() ? col_ : data_, s_.ends_.begin(row) - origin_));
        continue;
      }
      PENSTOCK_RETURN_IF_ERROR(hand_out(row, after));
      row = after;
    }
    return {};
  }

 private:
  struct Side {
    const MatrixColumn& column;
    ElementWindow window;
    std::size_t group = 0;    // of the pages that are open
    ByteOffset open_end = 0;  // of those pages; 0: none yet
  };

  ElementWindow window(const MatrixColumn& column, ColumnTarget* target, const Layout::Part& part,
                       CodecContext* codec) const {
    return ElementWindow(
        column.column, column.context(s_.columns_.file->label(), 0), column.column.type, target,
        {{base_ + part.page, part.page_bytes}, {base_ + part.elements, part.element_bytes}, {}}, codec);
  }

  // Puts position 0 at element origin_.
  Status go_to(Side& side) {
    const std::size_t g = s_.group_of(origin_);
    const PageSpan span = s_.span_of(side.column, g, origin_, last_);
    if (side.open_end == 0 || side.group != g || side.open_end < span.end) {
      const bool same = side.open_end > 0 && side.group == g;
      side.window.set_row_group(g);
      PENSTOCK_RETURN_IF_ERROR(side.window.open(span, s_.columns_.file.get(), fetched_, same));
      side.group = g;
      side.open_end = span.end;
    }
    return side.window.seek(origin_ - s_.first_[g]);
  }

  Status more(Side& side, std::uint64_t keep) {
    if (side.window.exhausted()) {
      const std::uint64_t next = origin_ + side.window.end();
      if (next >= last_ || next != s_.first_[side.group + 1]) {
        return side.column.context(s_.columns_.file->label(), side.group)
            .label.corrupt(side.open_end, fmt::format("the pages end before element {}", next));
      }
      const std::size_t g = s_.group_of(next);
      const PageSpan span = s_.span_of(side.column, g, next, last_);
      side.window.set_row_group(g);
      PENSTOCK_RETURN_IF_ERROR(side.window.follow(span, s_.columns_.file.get(), fetched_));
      side.group = g;
      side.open_end = span.end;
      return {};
    }
    bool widen = false;  // never: values are as stored
    return side.window.more(std::min(keep, side.window.end()), &widen);
  }

  Status hand_out(RowIndex first, RowIndex last) {
    auto* begins = reinterpret_cast<std::uint64_t*>(base_ + at_.begins);
    auto* ends = reinterpret_cast<std::uint64_t*>(base_ + at_.ends);
    const std::uint64_t from = s_.ends_.begin(first);
    for (RowIndex row = first; row < last; ++row) {
      begins[row - first] = s_.ends_.begin(row) - from;
      ends[row - first] = s_.ends_.end(row) - from;
    }
    const bool empty = ends[last - first - 1] == 0;
    CsrTile tile;
    tile.rows = {first, last};
    tile.begins = begins;
    tile.ends = ends;
    tile.indices = empty ? base_ : col_.window.at(from - origin_);
    tile.values = empty ? base_ : data_.window.at(from - origin_);
    tile.index_type = IdTarget::id_type(s_.traits_.n_cols);
    tile.value_type = s_.data_.stored;
    tile.first_element = from;
    return sink_.csr(tile);
  }

  const CooSource& s_;
  const Fetched& fetched_;
  RowSink& sink_;
  const Layout at_;
  std::byte* const base_;
  IdTarget ids_;
  ValueTarget numbers_;
  Side col_, data_;
  std::uint64_t origin_ = 0, last_ = 0;  // elements of the range that is read
};

Status CooSource::decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                         RowSink& sink) const {
  if (wanted.empty()) return {};
  if (scratch.bytes.size() < layout().end || scratch.codec == nullptr) {
    return Status::internal(
        fmt::format("{}: a scratch of {} bytes, {} are needed", label(), scratch.bytes.size(), layout().end));
  }
  scratch.head_too_short = false;
  Decoder decoder(*this, scratch, fetched, sink);
  for (const RowRange& range : wanted) PENSTOCK_RETURN_IF_ERROR(decoder.run(range));
  return {};
}

Result<std::shared_ptr<const RowSource>> CooSource::resident(MemoryBudget&) const {
  return std::shared_ptr<const RowSource>(shared_from_this(), this);
}

}  // namespace penstock::parquet
