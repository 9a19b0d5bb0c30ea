// Decoding of list columns: two windows of elements, one of ids and one of values, move over the pages of a
// row group, and rows that both hold are handed out as tiles.
//
// The two columns say the same row lengths, in pages of different sizes, since tokens and counts compress
// differently. So whichever lacks the next row decodes one step more (a page's levels, or a slice of its
// values) until both have it:
//
//     genes    page 1: rows 0-9 | page 2: rows 10-19 ...        row 4 is whole in both,
//     values   page 1: rows 0-4 and a part of 5 | page 2 ...    row 5 in genes only: values decode more
//
// Values are looked up in the narrowest type that a row group's dictionary fits (column_target.cc). Three
// things may turn up later that do not fit it: a page without a dictionary, a missing value, and a mark's bit
// pattern where it must be a value. Then this Decoder ends, and another one decodes what is left of the row
// group in the type that is stored. Rows that were handed out stay as they are; a tile says which type it
// has.
//
// The first entry of a row may be a mark (the CLS token, with a negative value), and is dropped; entries
// whose gene the table does not know are dropped and counted.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "parquet/element_window.h"
#include "parquet/list_source.h"

namespace penstock::parquet {
namespace {

constexpr std::uint64_t kTileRows = 256;  // a tile has at most so many

}  // namespace

// What lies in a scratch.
struct ListSource::Parts {
  ElementWindow::Memory genes;
  std::span<std::byte> ids;  // for the target of genes
  ElementWindow::Memory values;
  std::span<std::byte> numbers;           // for the target of values
  std::span<std::uint64_t> begins, ends;  // of a tile's rows
};

ListSource::Parts ListSource::parts(Carver& memory) const {
  const auto window = [&](const MatrixColumn& side) {
    return ElementWindow::Memory::carve_for_lists(memory, side.limits, longest_ + kSlice);
  };
  Parts at;
  at.genes = window(genes_);
  at.ids = memory.bytes(IdTarget::scratch(traits_.n_cols, genes_.limits.dictionary));
  at.values = window(values_);
  at.numbers = memory.bytes(ValueTarget::scratch(values_.stored, values_.limits.dictionary));
  at.begins = memory.array<std::uint64_t>(kTileRows);
  at.ends = memory.array<std::uint64_t>(kTileRows);
  return at;
}

ByteCount ListSource::own_scratch() const {
  Carver measured;
  parts(measured);
  return measured.used();
}

// Decodes ranges of one row group.
class ListSource::Decoder {
 public:
  // keep_stored: values in the file's type, whatever the dictionary holds.
  Decoder(const ListSource& source, std::size_t group, bool keep_stored, const Parts& parts, Scratch& scratch,
          const Fetched& fetched, RowSink& sink)
      : s_(source),
        group_(group),
        fetched_(fetched),
        scratch_(scratch),
        sink_(sink),
        at_(parts),
        ids_(*source.map_, source.genes_.stored, source.genes_.column.type, source.genes_.limits.dictionary,
             at_.ids.data()),
        numbers_(source.values_.stored, source.values_.column.type, true, keep_stored,
                 source.values_.limits.dictionary, at_.numbers.data()),
        genes_(source.genes_.column, context(source.genes_), source.genes_.column.type, &ids_, at_.genes,
               scratch.codec),
        values_(source.values_.column, context(source.values_), source.values_.column.type, &numbers_,
                at_.values, scratch.codec) {}

  // Rows [first, last) of the row group. *done: rows handed out. False in *narrow: a value came that the
  // narrow type does not hold; the rest is for a Decoder that keeps the stored type.
  Status run(std::uint64_t first, std::uint64_t last, std::uint64_t* done, bool* narrow) {
    PENSTOCK_RETURN_IF_ERROR(go_to(s_.genes_, genes_, &genes_end_, first, last));
    PENSTOCK_RETURN_IF_ERROR(go_to(s_.values_, values_, &values_end_, first, last));
    for (std::uint64_t row = first; row < last;) {
      std::uint64_t n = 0;
      const std::uint64_t most = std::min(kTileRows, last - row);
      // Rows that are whole in both windows, at most a tile.
      while (n < most && complete(genes_, n) && complete(values_, n)) ++n;
      if (n == 0) {
        const bool lacks_genes = !complete(genes_, 0);
        bool widen = false;
        PENSTOCK_RETURN_IF_ERROR(more(lacks_genes ? genes_ : values_, row, &widen));
        if (widen) *narrow = false;
        if (widen) return {};
        continue;
      }
      PENSTOCK_RETURN_IF_ERROR(hand_out(row, n, narrow));
      if (!*narrow) return {};
      row += n;
      *done += n;
      genes_.drop_rows(n);
      values_.drop_rows(n);
    }
    return {};
  }

 private:
  PageContext context(const MatrixColumn& column) const { return column.context(s_.file_->label(), group_); }

  // Goes on in the pages that are open when the row lies in them or follows them, else in others.
  Status go_to(const MatrixColumn& side, ElementWindow& window, ByteOffset* open_end, std::uint64_t first,
               std::uint64_t last) {
    const RowIndex begin = s_.groups_.first(group_);
    const PageSpan span = s_.span_of(side, group_, {begin + first, begin + last});
    if (*open_end < span.end) {
      PENSTOCK_RETURN_IF_ERROR(window.open(span, s_.file_.get(), fetched_, *open_end > 0));
      *open_end = span.end;
    }
    return window.seek(first);
  }

  // A row is whole when everything before the next one's beginning is decoded. The last known row has no next
  // one; it is whole when no page is left that could go on with it.
  bool complete(const ElementWindow& window, std::uint64_t i) const {
    if (i + 1 < window.rows_known()) return window.start(i + 1) <= window.end();
    return i < window.rows_known() && window.exhausted() && window.total() <= window.end();
  }
  std::uint64_t row_end(const ElementWindow& window, std::uint64_t i) const {
    return i + 1 < window.rows_known() ? window.start(i + 1) : window.total();
  }

  // Exhausted and still not whole: the pages hold fewer rows than the footer says.
  Status more(ElementWindow& window, std::uint64_t row, bool* widen) {
    if (window.exhausted() && window.total() <= window.end()) {
      const MatrixColumn& side = &window == &genes_ ? s_.genes_ : s_.values_;
      return context(side).label.corrupt(&window == &genes_ ? genes_end_ : values_end_,
                                         fmt::format("the pages end before row {} of the row group", row));
    }
    const std::uint64_t keep = window.rows_known() > 0 ? window.start(0) : window.end();
    return window.more(std::min<std::uint64_t>(keep, window.end()), widen);
  }

  // The first n known rows as a tile.
  Status hand_out(std::uint64_t row, std::uint64_t n, bool* narrow) {
    std::uint64_t* const begins = at_.begins.data();
    std::uint64_t* const ends = at_.ends.data();
    const std::uint64_t from = genes_.start(0);
    const RowIndex first_row = s_.groups_.first(group_) + row;
    std::byte* ids = genes_.at(from);
    std::byte* values = values_.at(from);
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t end = row_end(genes_, i);
      // Both windows count from the first row of the range, so that equal starts and ends mean equal lengths
      // of all rows so far.
      if (values_.start(i) != genes_.start(i) || row_end(values_, i) != end) {
        return Status::corrupt(fmt::format("{}: row {}: {} has {} entries and {} has {}", s_.label_,
                                           first_row + i, s_.genes_.column.name, end - genes_.start(i),
                                           s_.values_.column.name, row_end(values_, i) - values_.start(i)));
      }
      // Batches are sized by longest_, which is an estimate where not all row groups were looked at.
      if (end - genes_.start(i) > s_.longest_) {
        return Status::corrupt(fmt::format("{}: row {} has {} entries, at most {} were expected", s_.label_,
                                           first_row + i, end - genes_.start(i), s_.longest_));
      }
      begins[i] = genes_.start(i) - from;
      ends[i] = end - from;
      if (begins[i] < ends[i] && numbers_.is_mark(values, begins[i])) ++begins[i];
      // A negative value that does not begin a row is data, and in a narrow type it cannot be told from the
      // mark.
      if (numbers_.has_mark(values, begins[i], ends[i])) {
        *narrow = false;  // not the first of its row: a value
        return {};
      }
    }
    // Nearly always false: the dictionary has told that all genes of the row group are known.
    if (ids_.unknown()) {
      for (std::uint64_t i = 0; i < n; ++i) ends[i] = drop_unknown(ids, values, begins[i], ends[i]);
    }
    CsrTile tile;
    tile.rows = {first_row, first_row + n};
    tile.begins = begins;
    tile.ends = ends;
    tile.indices = ids;
    tile.values = values;
    tile.index_type = IdTarget::id_type(s_.traits_.n_cols);
    tile.value_type = numbers_.type();
    tile.first_element = 0;
    return sink_.csr(tile);
  }

  // Closes the gaps that genes outside the table leave; the row's new end.
  // The row shrinks in place. Rows keep their beginnings, so that tiles have gaps between rows, as CsrTile
  // allows.
  std::uint64_t drop_unknown(std::byte* ids, std::byte* values, std::uint64_t begin, std::uint64_t end) {
    const std::size_t id = ids_.item(), value = numbers_.item();
    if (!has_all_ones(ids, id, begin, end)) return end;
    std::uint64_t to = begin;
    for (std::uint64_t i = begin; i < end; ++i) {
      std::uint32_t column = 0;
      std::memcpy(&column, ids + i * id, id);
      if (column == (id == 2 ? 0xffffu : GeneMap::kUnknown)) continue;
      std::memmove(ids + to * id, ids + i * id, id);
      std::memmove(values + to * value, values + i * value, value);
      ++to;
    }
    scratch_.entries_dropped += end - to;
    return to;
  }

  const ListSource& s_;
  const std::size_t group_;
  const Fetched& fetched_;
  Scratch& scratch_;
  RowSink& sink_;
  const Parts& at_;
  IdTarget ids_;
  ValueTarget numbers_;
  ElementWindow genes_, values_;
  ByteOffset genes_end_ = 0, values_end_ = 0;  // of the open pages
};

Status ListSource::decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                          RowSink& sink) const {
  if (wanted.empty()) return {};
  PENSTOCK_RETURN_IF_ERROR(check_scratch(*this, scratch, own_scratch()));
  scratch.head_too_short = false;
  Carver memory(scratch.bytes.data());
  const Parts mine = parts(memory);
  Status status;
  groups_.for_each_group(wanted, [&](std::size_t g, std::span<const RowRange> ranges) {
    const RowIndex begin = groups_.first(g), end = groups_.end(g);
    std::size_t i = 0;
    std::uint64_t done = 0;  // rows of ranges[i]
    // The first pass hands out what the narrow type holds, mostly everything; the second goes on at the row
    // where the first has stopped, `done` rows into ranges[i].
    for (const bool keep_stored : {false, true}) {
      Decoder decoder(*this, g, keep_stored, mine, scratch, fetched, sink);
      for (bool narrow = true; narrow && i < ranges.size();) {
        const std::uint64_t first = std::max(ranges[i].first, begin) - begin;
        const std::uint64_t last = std::min(ranges[i].last, end) - begin;
        status = decoder.run(first + done, last, &done, &narrow);
        if (!status.ok()) return false;
        if (!narrow) break;
        ++i;
        done = 0;
      }
    }
    return true;
  });
  return status;
}

}  // namespace penstock::parquet
