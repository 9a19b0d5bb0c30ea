#include "parquet/element_window.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace penstock::parquet {

// Elements and their positions:
//
//        dropped        decoded, in memory_.elements      in the open page, not decoded
//     ... . . . . . . | base_ . . . . . . . . . . . end_ | . . . . . . . . . opened_end_ |  pages to come
//
// Both columns of a matrix of lists have such a window. They are read in step, row by row, but their pages do
// not end together, so that one of them knows rows which the other has not come to. Where those rows begin is
// in memory_.row_starts, as positions: n_starts_ of them from first_start_ on. It holds twice the rows of a
// page, so that those of a new page have room behind the ones that are left.
//
// A worked example. Lists of 3, 0 and 2 elements, then a page boundary inside a list of 4: the first page
// holds 3 + 0 + 2 + 1 elements, and its rows begin at 0, 3, 3 and 5; opened_end_ is 6 and next_row_ is 4. The
// second page begins with the 3 elements that the last row still has. No row begins before them, so the first
// new one starts at 6 + 3 = 9, where list_starts() says 3: opened_end_ is added to what it says.

// Elements take 8 bytes, whatever the target makes of them: which type that is follows from each row group's
// dictionary.
ElementWindow::Memory ElementWindow::Memory::carve(Carver& memory, const PageLimits& limits,
                                                   std::uint64_t elements) {
  return {memory.bytes(limits.page), memory.bytes(elements * 8), {}};
}

ElementWindow::Memory ElementWindow::Memory::carve_for_lists(Carver& memory, const PageLimits& limits,
                                                             std::uint64_t elements) {
  Memory out = carve(memory, limits, elements);
  out.row_starts = memory.array<std::uint32_t>(2 * limits.positions + 2);
  return out;
}

ElementWindow::ElementWindow(const Leaf& column, const PageContext& context, PhysicalType physical,
                             ColumnTarget* target, const Memory& memory, CodecContext* codec)
    : column_(column),
      physical_(physical),
      target_(target),
      memory_(memory),
      pages_(context, memory.page, codec) {}

Status ElementWindow::fail(DecodeError error) const {
  if (error == DecodeError::unsupported) {
    return pages_.context().label.unsupported(page_offset_, describe(error));
  }
  return pages_.context().label.corrupt(page_offset_, describe(error));
}

Status ElementWindow::open(const PageSpan& span, const File* file, const Fetched& fetched,
                           bool same_dictionary) {
  next_row_ = span.first;
  // Positions start anew with seek(), which follows, and nothing that was decoded before is kept.
  base_ = end_ = opened_end_ = first_start_ = n_starts_ = 0;
  return use_span(span, file, fetched, same_dictionary);
}

Status ElementWindow::follow(const PageSpan& span, const File* file, const Fetched& fetched) {
  next_row_ = span.first;  // counts within the row group
  return use_span(span, file, fetched, false);
}

Status ElementWindow::use_span(const PageSpan& span, const File* file, const Fetched& fetched,
                               bool same_dictionary) {
  values_ = PageValues();
  missing_left_ = 0;
  exhausted_ = false;
  // A row group need not have a dictionary, and its pages must not be looked up in that of the group before.
  if (!same_dictionary) target_->no_dictionary();
  // The loader has fetched what add_requests() asked for. If some of it is missing, that is our own mistake
  // and not the file's.
  const auto bytes_of = [&](ByteOffset begin, ByteOffset end, std::span<const std::byte>* out) -> Status {
    *out = fetched.find(file, begin, end - begin);
    if (out->size() == end - begin) return {};
    return Status::internal(fmt::format("{}: bytes {} to {} were not fetched", file->label(), begin, end));
  };
  std::span<const std::byte> bytes;
  if (span.dictionary < span.dictionary_end && !same_dictionary) {
    PENSTOCK_RETURN_IF_ERROR(bytes_of(span.dictionary, span.dictionary_end, &bytes));
    pages_.open(bytes, span.dictionary);
    Page page;
    bool more = false;
    PENSTOCK_RETURN_IF_ERROR(pages_.next(&page, &more));
    // What lies before the first data page may be something else, such as an index page.
    if (more && page.type == PageType::dictionary) {
      PENSTOCK_RETURN_IF_ERROR(target_->dictionary(pages_.context(), page));
    }
  }
  PENSTOCK_RETURN_IF_ERROR(bytes_of(span.begin, span.end, &bytes));
  pages_.open(bytes, span.begin);
  return {};
}

// Opens the next data page; its values follow the ones before in position.
Status ElementWindow::open_page(bool* more) {
  for (;;) {
    Page page;
    PENSTOCK_RETURN_IF_ERROR(pages_.next(&page, more));
    if (!*more) {
      exhausted_ = true;
      return {};
    }
    page_offset_ = page.offset;
    if (page.type != PageType::dictionary) return use_page(page);
    PENSTOCK_RETURN_IF_ERROR(target_->dictionary(pages_.context(), page));
  }
}

Status ElementWindow::use_page(const Page& page) {
  // Of the n_values entries of the levels only `stored` have a value: empty lists and missing elements have
  // an entry there and no value behind it.
  std::uint64_t stored = page.n_values;
  if (column_.max_rep > 0) {
    std::memmove(memory_.row_starts.data(), memory_.row_starts.data() + first_start_,
                 n_starts_ * sizeof(std::uint32_t));
    first_start_ = 0;
    ListPage list;
    const DecodeError error =
        list_starts(page.rep_levels, page.def_levels, column_.max_def, column_.element_def, column_.list_def,
                    page.n_values, memory_.row_starts.subspan(n_starts_), &list);
    if (error != DecodeError::ok) return fail(error);
    // Nothing before the group's first row can go on here.
    if (next_row_ == 0 && list.elements_before > 0) {
      return begins_inside_a_row(pages_.context().label, page.offset);
    }
    if (list.null_elements > 0 && target_->missing() == ColumnTarget::Missing::is_refused) {
      return pages_.context().label.unsupported(
          page.offset, fmt::format("{} missing values inside lists: integers cannot say so, floats have NaN",
                                   list.null_elements));
    }
    // Almost no page has missing elements, and those that have none never look at their levels again.
    missing_left_ = list.null_elements;
    presence_ = ElementPresence(page.def_levels, column_.max_def, column_.element_def);
    // From numbers within the page to positions (see the worked example above).
    for (std::uint64_t i = 0; i < list.rows; ++i) {
      memory_.row_starts[n_starts_ + i] += static_cast<std::uint32_t>(opened_end_);
    }
    n_starts_ += list.rows;
    next_row_ += list.rows;
    stored = list.values;
  } else {
    if (column_.max_def > 0) {
      bool all = false;
      const DecodeError error = all_at(page.def_levels, column_.max_def, page.n_values, &all);
      if (error != DecodeError::ok) return fail(error);
      if (!all) {
        return pages_.context().label.unsupported(page.offset, "missing values: a matrix has none");
      }
    }
    next_row_ += stored;
  }
  opened_end_ += stored + missing_left_;
  const DecodeError error = PageValues::open(page, physical_, target_->dictionary_size(), stored, &values_);
  return error == DecodeError::ok ? Status() : fail(error);
}

// Elements that nobody wants cost no more than their levels: values are passed over where they are encoded.
Status ElementWindow::skip(std::uint64_t n) {
  DecodeError error = DecodeError::ok;
  std::array<std::uint8_t, kSlice> present;
  // While elements are missing, how many values lie behind n elements has to be counted.
  while (missing_left_ > 0 && n > 0 && error == DecodeError::ok) {
    const std::uint64_t part = std::min(n, kSlice);
    std::uint64_t with_value = 0;
    error = presence_.take(std::span(present).first(part), &with_value);
    if (error == DecodeError::ok) error = values_.skip(with_value);
    missing_left_ -= part - with_value;
    n -= part;
  }
  if (error == DecodeError::ok && n > 0) error = values_.skip(n);
  return error == DecodeError::ok ? Status() : fail(error);
}

// The next n <= kSlice elements, some of which may have no value.
Status ElementWindow::read_with_missing(std::uint64_t n, std::byte* out) {
  const std::size_t item = target_->item();
  std::array<std::uint8_t, kSlice> buffer;
  const auto present = std::span(buffer).first(n);
  std::uint64_t with_value = 0;
  DecodeError error = presence_.take(present, &with_value);
  if (error == DecodeError::ok) error = target_->read(values_, with_value, out);
  if (error != DecodeError::ok) return fail(error);
  // The values were written side by side to the front; now each goes to its element, and NaN or "unknown"
  // into the gaps.
  spread(out, item, present, with_value);
  for (std::uint64_t i = 0; i < n; ++i) {
    if (present[i] == 0) target_->put_missing(out + i * item);
  }
  missing_left_ -= n - with_value;
  return {};
}

void ElementWindow::drop_rows(std::uint64_t rows) {
  first_start_ += rows;
  n_starts_ -= rows;
}

Status ElementWindow::seek(std::uint64_t row) {
  const bool list = column_.max_rep > 0;
  // Known rows are those before next_row_.
  std::uint64_t begin = 0;  // position of the row
  for (;;) {
    if (row < next_row_) {
      const std::uint64_t back = next_row_ - row;
      if (list ? back <= n_starts_ : back <= opened_end_ - base_) {
        begin = list ? start(n_starts_ - back) : opened_end_ - back;
        if (list) drop_rows(n_starts_ - back);
        break;
      }
      return Status::internal("a seek backwards in a column");
    }
    // Not in what is known: all of it is passed over.
    n_starts_ = 0;
    end_ = opened_end_;
    bool more = false;
    PENSTOCK_RETURN_IF_ERROR(open_page(&more));
    if (!more) {
      return pages_.context().label.corrupt(pages_.offset(),
                                            fmt::format("the pages end before row {} of the row group", row));
    }
  }
  // Elements between what was decoded and the row are passed over where they are encoded.
  if (begin > end_) {
    PENSTOCK_RETURN_IF_ERROR(skip(begin - end_));
    base_ = end_ = begin;
  }
  // Positions from here on count from the row: they stay small, however long the row group is, and fit the 32
  // bits of row_starts.
  for (std::uint64_t i = 0; i < n_starts_; ++i) {
    memory_.row_starts[first_start_ + i] -= static_cast<std::uint32_t>(begin);
  }
  // What was decoded already and belongs to the row or comes after it moves to the front.
  if (begin > base_) {
    const std::size_t item = target_->item();
    std::memmove(memory_.elements.data(), memory_.elements.data() + (begin - base_) * item,
                 (end_ - begin) * item);
    base_ = begin;
  }
  base_ -= begin;
  end_ -= begin;
  opened_end_ -= begin;
  return {};
}

Status ElementWindow::more(std::uint64_t keep, bool* widen) {
  // One step a call: a page is opened, or a slice of it decoded. Who calls looks between steps whether the
  // row that it wants is whole, so that no more is decoded than that takes.
  *widen = false;
  if (left() == 0) {
    bool more = false;
    return open_page(&more);
  }
  if (!target_->takes(values_) ||
      (missing_left_ > 0 && target_->missing() == ColumnTarget::Missing::needs_stored_type)) {
    *widen = true;
    return {};
  }
  const std::size_t item = target_->item();
  const std::uint64_t capacity = memory_.elements.size() / 8;
  const std::uint64_t slice = std::min(kSlice, left());
  if (end_ - base_ + slice > capacity) {
    // The window has room for the longest row and one slice. When it is full, what was handed out goes, and
    // the rest moves to the front: at most a row, so that this costs little against the slice that is
    // decoded.
    std::memmove(memory_.elements.data(), at(keep), (end_ - keep) * item);
    base_ = keep;
    if (end_ - base_ + slice > capacity) {
      return pages_.context().label.corrupt(
          page_offset_,
          fmt::format("a row of more than {} entries, longer than the matrix is wide", capacity - kSlice));
    }
  }
  std::byte* const out = memory_.elements.data() + (end_ - base_) * item;
  if (missing_left_ > 0) {
    PENSTOCK_RETURN_IF_ERROR(read_with_missing(slice, out));
  } else if (const DecodeError error = target_->read(values_, slice, out); error != DecodeError::ok) {
    return fail(error);
  }
  end_ += slice;
  return {};
}

}  // namespace penstock::parquet
