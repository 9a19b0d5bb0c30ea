// Decoding of triplets: a window of column numbers and one of values move over the pages, and where rows end
// is known since open (RowEnds). The file's rows are elements here: element e is the e-th triplet.
//
//     row     0 0 0 2 2 3 | 3 3 5        the bar is where a row group ends
//     col     1 4 7 0 4 2 | 5 6 1        ends of rows 0 to 5: 3 3 5 8 8 9
//     data    . . . . . . | . . .
//
// Rows [2, 4) are the elements [3, 8): they begin in the first row group and end in the second, since row
// groups are cut without regard to the rows of a matrix. The window goes on with the pages of the next group
// (ElementWindow::follow) without giving up what it holds, so that row 3 is whole at last. Each row group has
// its own dictionary. Column numbers are translated to one type in any case, and values are kept as stored
// for that reason: a narrow type could differ from one group to the next in the middle of a row.
//
// Both columns are flat, and have as many values in each row group, but their pages end anywhere.
#include <fmt/format.h>

#include <algorithm>

#include "parquet/coo_source.h"
#include "parquet/element_window.h"

namespace penstock::parquet {
namespace {

constexpr std::uint64_t kTileRows = 256;  // a tile has at most so many

}  // namespace

// What lies in a scratch.
struct CooSource::Parts {
  ElementWindow::Memory col;
  std::span<std::byte> ids;  // for the target of column numbers
  ElementWindow::Memory data;
  std::span<std::byte> numbers;           // for the target of values
  std::span<std::uint64_t> begins, ends;  // of a tile's rows
};

CooSource::Parts CooSource::parts(Carver& memory) const {
  const auto window = [&](const MatrixColumn& side) {
    // The longest row, and a slice of what follows it: see ElementWindow::more().
    return ElementWindow::Memory::carve(memory, side.limits, traits_.lengths.longest + kSlice);
  };
  Parts at;
  at.col = window(col_);
  at.ids = memory.bytes(IdTarget::scratch(traits_.n_cols, col_.limits.dictionary));
  at.data = window(data_);
  at.numbers = memory.bytes(ValueTarget::scratch(data_.stored, data_.limits.dictionary));
  at.begins = memory.array<std::uint64_t>(kTileRows);
  at.ends = memory.array<std::uint64_t>(kTileRows);
  return at;
}

ByteCount CooSource::own_scratch() const {
  Carver measured;
  parts(measured);
  return measured.used();
}

class CooSource::Decoder {
 public:
  Decoder(const CooSource& source, const Parts& parts, CodecContext* codec, const Fetched& fetched,
          RowSink& sink)
      : s_(source),
        fetched_(fetched),
        sink_(sink),
        at_(parts),
        // A row may begin in one row group and end in the next, so values keep one type over all of them.
        ids_(*source.map_, source.col_.stored, source.col_.column.type, source.col_.limits.dictionary,
             at_.ids.data()),
        numbers_(source.data_.stored, source.data_.column.type, false, true, source.data_.limits.dictionary,
                 at_.numbers.data()),
        col_{source.col_, window(source.col_, &ids_, at_.col, codec)},
        data_{source.data_, window(source.data_, &numbers_, at_.data, codec)} {}

  // Two columns, read in step: the one that is behind decodes more until the next rows are whole in both, and
  // those are handed out. Rows without entries are whole at any time; they wait for nothing and go out with
  // their neighbours.
  Status run(RowRange rows) {
    origin_ = s_.ends_.begin(rows.first);
    last_ = s_.ends_.end(rows.last - 1);
    // Rows without entries are in no page, and there may be none to go to.
    if (origin_ < last_) {
      PENSTOCK_RETURN_IF_ERROR(go_to(col_));
      PENSTOCK_RETURN_IF_ERROR(go_to(data_));
    }
    for (RowIndex row = rows.first; row < rows.last;) {
      // Elements before this one are decoded in both columns.
      const std::uint64_t have = origin_ + std::min(col_.window.end(), data_.window.end());
      RowIndex after = row;
      // A row that is whole, or an empty one (it ends where the first of the tile begins).
      while (after < std::min(rows.last, row + kTileRows) &&
             (s_.ends_.end(after) <= have || s_.ends_.end(after) == s_.ends_.begin(row))) {
        ++after;
      }
      if (after == row) {
        PENSTOCK_RETURN_IF_ERROR(
            // Nothing before the first row that is still to be handed out is kept.
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

  ElementWindow window(const MatrixColumn& column, ColumnTarget* target, const ElementWindow::Memory& memory,
                       CodecContext* codec) const {
    return ElementWindow(column.column, column.context(s_.file_->label(), 0), column.column.type, target,
                         memory, codec);
  }

  // Puts position 0 at element origin_.
  Status go_to(Side& side) {
    const std::size_t g = s_.groups_.group_of(origin_);
    const PageSpan span = s_.span_of(side.column, g, origin_, last_);
    // Pages that are open go on being used where they hold all that is wanted now; each range would
    // decompress the page at its beginning anew otherwise. `same`: the group's dictionary is translated
    // already.
    if (side.open_end == 0 || side.group != g || side.open_end < span.end) {
      const bool same = side.open_end > 0 && side.group == g;
      side.window.set_row_group(g);
      PENSTOCK_RETURN_IF_ERROR(side.window.open(span, s_.file_.get(), fetched_, same));
      side.group = g;
      side.open_end = span.end;
    }
    return side.window.seek(origin_ - s_.groups_.first(g));
  }

  Status more(Side& side, std::uint64_t keep) {
    if (side.window.exhausted()) {
      const std::uint64_t next = origin_ + side.window.end();
      // The pages that were fetched reach to the end of the range, or of the row group. If they are exhausted
      // anywhere else, they hold fewer values than their headers said at open.
      if (next >= last_ || next != s_.groups_.end(side.group)) {
        return side.column.context(s_.file_->label(), side.group)
            .label.corrupt(side.open_end, fmt::format("the pages end before element {}", next));
      }
      const std::size_t g = s_.groups_.group_of(next);
      const PageSpan span = s_.span_of(side.column, g, next, last_);
      side.window.set_row_group(g);
      PENSTOCK_RETURN_IF_ERROR(side.window.follow(span, s_.file_.get(), fetched_));
      side.group = g;
      side.open_end = span.end;
      return {};
    }
    bool widen = false;  // never: values are as stored
    return side.window.more(std::min(keep, side.window.end()), &widen);
  }

  Status hand_out(RowIndex first, RowIndex last) {
    std::uint64_t* const begins = at_.begins.data();
    std::uint64_t* const ends = at_.ends.data();
    const std::uint64_t from = s_.ends_.begin(first);
    for (RowIndex row = first; row < last; ++row) {
      begins[row - first] = s_.ends_.begin(row) - from;
      ends[row - first] = s_.ends_.end(row) - from;
    }
    // There may be no window to point into: any address does for rows without entries.
    const bool empty = ends[last - first - 1] == 0;
    CsrTile tile;
    tile.rows = {first, last};
    tile.begins = begins;
    tile.ends = ends;
    tile.indices = empty ? at_.ids.data() : col_.window.at(from - origin_);
    tile.values = empty ? at_.numbers.data() : data_.window.at(from - origin_);
    tile.index_type = IdTarget::id_type(s_.traits_.n_cols);
    tile.value_type = s_.data_.stored;
    tile.first_element = from;
    return sink_.csr(tile);
  }

  const CooSource& s_;
  const Fetched& fetched_;
  RowSink& sink_;
  const Parts& at_;
  IdTarget ids_;
  ValueTarget numbers_;
  Side col_, data_;
  std::uint64_t origin_ = 0, last_ = 0;  // elements of the range that is read
};

Status CooSource::decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                         RowSink& sink) const {
  if (wanted.empty()) return {};
  PENSTOCK_RETURN_IF_ERROR(check_scratch(*this, scratch, own_scratch()));
  scratch.head_too_short = false;
  Carver memory(scratch.bytes.data());
  const Parts mine = parts(memory);
  Decoder decoder(*this, mine, scratch.codec, fetched, sink);
  for (const RowRange& range : wanted) PENSTOCK_RETURN_IF_ERROR(decoder.run(range));
  return {};
}

}  // namespace penstock::parquet
