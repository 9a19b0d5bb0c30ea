// Decoding of list columns: two windows of elements, one of ids and one of values, move over the pages, and
// rows that both hold are handed out as tiles.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "parquet/element_window.h"
#include "parquet/list_source.h"

namespace penstock::parquet {
namespace {

constexpr std::uint64_t kTileRows = 256;  // a tile has at most so many
constexpr std::uint64_t kAlign = 64;

}  // namespace

// Where things lie in a scratch, each part 64-byte aligned.
struct ListSource::Layout {
  struct Part {
    ByteCount page = 0, elements = 0, starts = 0, target = 0;
    ByteCount page_bytes = 0, element_bytes = 0;
    std::uint64_t n_starts = 0;
  };
  Part genes, values;
  ByteCount begins = 0, ends = 0, end = 0;
};

ListSource::Layout ListSource::layout() const {
  Layout at;
  const auto place = [&at](ByteCount bytes) {
    const ByteCount begin = at.end;
    at.end += round_up(bytes, kAlign);
    return begin;
  };
  const auto part = [&](const MatrixColumn& side, ByteCount target) {
    Layout::Part p;
    p.page_bytes = side.limits.page;
    p.element_bytes = (longest_ + kSlice) * 8;
    // Rows of a page, and as many that the other column has not come to.
    p.n_starts = 2 * side.limits.positions + 2;
    p.page = place(p.page_bytes);
    p.elements = place(p.element_bytes);
    p.starts = place(p.n_starts * sizeof(std::uint32_t));
    p.target = place(target);
    return p;
  };
  at.genes = part(genes_, IdTarget::scratch(traits_.n_cols, genes_.limits.dictionary));
  at.values = part(values_, ValueTarget::scratch(values_.stored, values_.limits.dictionary));
  at.begins = place(kTileRows * sizeof(std::uint64_t));
  at.ends = place(kTileRows * sizeof(std::uint64_t));
  return at;
}

// And what the codec's context takes.
ByteCount ListSource::scratch_bytes(RowIndex) const {
  return layout().end + std::max(compression_bytes(genes_.codec), compression_bytes(values_.codec));
}

// Decodes ranges of one row group.
class ListSource::Decoder {
 public:
  // keep_stored: values in the file's type, whatever the dictionary holds.
  Decoder(const ListSource& source, std::size_t group, bool keep_stored, Scratch& scratch,
          const Fetched& fetched, RowSink& sink)
      : s_(source),
        group_(group),
        fetched_(fetched),
        scratch_(scratch),
        sink_(sink),
        at_(source.layout()),
        base_(scratch.bytes.data()),
        ids_(*source.columns_.map, source.genes_.stored, source.genes_.column.type,
             source.genes_.limits.dictionary, base_ + at_.genes.target),
        numbers_(source.values_.stored, source.values_.column.type, true, keep_stored,
                 source.values_.limits.dictionary, base_ + at_.values.target),
        genes_(source.genes_.column, context(source.genes_), source.genes_.column.type, &ids_,
               memory(at_.genes), scratch.codec),
        values_(source.values_.column, context(source.values_), source.values_.column.type, &numbers_,
                memory(at_.values), scratch.codec) {}

  // Rows [first, last) of the row group. *done: rows handed out. False in *narrow: a value came that the
  // narrow type does not hold; the rest is for a Decoder that keeps the stored type.
  Status run(std::uint64_t first, std::uint64_t last, std::uint64_t* done, bool* narrow) {
    PENSTOCK_RETURN_IF_ERROR(go_to(s_.genes_, genes_, &genes_end_, first, last));
    PENSTOCK_RETURN_IF_ERROR(go_to(s_.values_, values_, &values_end_, first, last));
    for (std::uint64_t row = first; row < last;) {
      std::uint64_t n = 0;
      const std::uint64_t most = std::min(kTileRows, last - row);
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
  PageContext context(const MatrixColumn& column) const {
    return column.context(s_.columns_.file->label(), group_);
  }
  ElementWindow::Memory memory(const Layout::Part& part) const {
    return {{base_ + part.page, part.page_bytes},
            {base_ + part.elements, part.element_bytes},
            {reinterpret_cast<std::uint32_t*>(base_ + part.starts), part.n_starts}};
  }

  // Goes on in the pages that are open when the row lies in them or follows them, else in others.
  Status go_to(const MatrixColumn& side, ElementWindow& window, ByteOffset* open_end, std::uint64_t first,
               std::uint64_t last) {
    const RowIndex begin = s_.groups_[group_].first_row;
    const PageSpan span = s_.span_of(side, group_, {begin + first, begin + last});
    if (*open_end < span.end) {
      PENSTOCK_RETURN_IF_ERROR(window.open(span, s_.columns_.file.get(), fetched_, *open_end > 0));
      *open_end = span.end;
    }
    return window.seek(first);
  }

  bool complete(const ElementWindow& window, std::uint64_t i) const {
    if (i + 1 < window.rows_known()) return window.start(i + 1) <= window.end();
    return i < window.rows_known() && window.exhausted() && window.total() <= window.end();
  }
  std::uint64_t row_end(const ElementWindow& window, std::uint64_t i) const {
    return i + 1 < window.rows_known() ? window.start(i + 1) : window.total();
  }

  Status more(ElementWindow& window, std::uint64_t row, bool* widen) {
    if (window.exhausted() && window.total() <= window.end()) {
      const MatrixColumn& side = &window == &genes_ ? s_.genes_ : s_.values_;
      return context(side).label.corrupt(s_.groups_[group_].first_row + row,
                                         fmt::format("the pages end before row {} of the row group", row));
    }
    const std::uint64_t keep = window.rows_known() > 0 ? window.start(0) : window.end();
    return window.more(std::min<std::uint64_t>(keep, window.end()), widen);
  }

  // The first n known rows as a tile.
  Status hand_out(std::uint64_t row, std::uint64_t n, bool* narrow) {
    auto* begins = reinterpret_cast<std::uint64_t*>(base_ + at_.begins);
    auto* ends = reinterpret_cast<std::uint64_t*>(base_ + at_.ends);
    const std::uint64_t from = genes_.start(0);
    const RowIndex first_row = s_.groups_[group_].first_row + row;
    std::byte* ids = genes_.at(from);
    std::byte* values = values_.at(from);
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t end = row_end(genes_, i);
      if (values_.start(i) != genes_.start(i) || row_end(values_, i) != end) {
        return Status::corrupt(fmt::format("{}: row {}: {} has {} entries and {} has {}", s_.columns_.label,
                                           first_row + i, s_.genes_.column.name, end - genes_.start(i),
                                           s_.values_.column.name, row_end(values_, i) - values_.start(i)));
      }
      if (end - genes_.start(i) > s_.longest_) {
        return Status::corrupt(fmt::format("{}: row {} has {} entries, at most {} were expected",
                                           s_.columns_.label, first_row + i, end - genes_.start(i),
                                           s_.longest_));
      }
      begins[i] = genes_.start(i) - from;
      ends[i] = end - from;
      if (begins[i] < ends[i] && numbers_.is_mark(values, begins[i])) ++begins[i];
      if (numbers_.has_mark(values, begins[i], ends[i])) {
        *narrow = false;  // not the first of its row: a value
        return {};
      }
    }
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
  const Layout at_;
  std::byte* const base_;
  IdTarget ids_;
  ValueTarget numbers_;
  ElementWindow genes_, values_;
  ByteOffset genes_end_ = 0, values_end_ = 0;  // of the open pages
};

Status ListSource::decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                          RowSink& sink) const {
  if (wanted.empty()) return {};
  if (scratch.bytes.size() < layout().end || scratch.codec == nullptr) {
    return Status::internal(
        fmt::format("{}: a scratch of {} bytes, {} are needed", label(), scratch.bytes.size(), layout().end));
  }
  scratch.head_too_short = false;
  Status status;
  for_each_group(wanted, [&](std::size_t g, std::span<const RowRange> ranges) {
    const RowIndex begin = groups_[g].first_row, end = groups_[g + 1].first_row;
    std::size_t i = 0;
    std::uint64_t done = 0;  // rows of ranges[i]
    for (const bool keep_stored : {false, true}) {
      Decoder decoder(*this, g, keep_stored, scratch, fetched, sink);
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

Result<std::shared_ptr<const RowSource>> ListSource::resident(MemoryBudget&) const {
  return std::shared_ptr<const RowSource>(shared_from_this(), this);
}

}  // namespace penstock::parquet
