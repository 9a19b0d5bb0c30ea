#include "dataset/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "dataset/selection_builder.h"

namespace penstock::internal {

const Bitmap& RowCursor::empty() {
  static const Bitmap none;
  return none;
}

std::uint64_t selected_rows(std::span<const FilePart> parts) {
  std::uint64_t n = 0;
  for (const FilePart& part : parts) n += part.n_selected;
  return n;
}

// A part without a bitmap has all of its rows; position and row are the same there, and most of what follows
// is about not looking at each row when that is so.

// Positions start, start + step, ... of the selection at hand, and for each the row behind it. For [1:8:3] of
// a selection of rows 0 2 4 6 8 10 12 14 these are positions 1, 4, 7 and the rows 2, 8, 14.
Result<Parts> select_slice(std::span<const FilePart> parts, std::uint64_t start, std::uint64_t stop,
                           std::uint64_t step, MemoryBudget& budget) {
  if (step == 0) return Status::invalid_argument("a slice with step 0");
  stop = std::min(stop, selected_rows(parts));
  // A step beyond the end selects one row, and so does this one; next += step cannot wrap then.
  step =
      std::min(step, std::max<std::uint64_t>(stop, 1));  // beyond the end is beyond the end, without overflow
  return guard_selection([&]() -> Result<Parts> {
    Parts out;
    SelectionBuilder builder;
    std::uint64_t next = start, first = 0;  // the next position wanted; the first of this file
    for (const FilePart& part : parts) {
      const std::uint64_t end = std::min(stop, first + part.n_selected);
      if (next < end && step == 1 && !part.selected) {
        builder.add_range(next - first, end - first);
        next = end;
      } else if (next < end) {
        RowCursor cursor(part);
        std::uint32_t row = 0;
        if (!part.selected) {
          for (; next < end; next += step) builder.add(next - first);
        } else if (part.selected->select(static_cast<std::uint32_t>(next - first), &row)) {
          cursor.seek(row);
          // A bitmap is walked and not asked for each position: select() counts from its beginning every
          // time.
          for (std::uint64_t position = next; position < end; ++position) {
            const RowIndex at = cursor.next();
            if (position != next) continue;
            builder.add(at);
            next += step;
          }
        }
      }
      PENSTOCK_ASSIGN_OR_RETURN(FilePart taken, builder.take(part, budget));
      out.push_back(std::move(taken));
      first += part.n_selected;
    }
    return out;
  });
}

Result<Parts> select_mask(std::span<const FilePart> parts, std::span<const std::uint8_t> keep,
                          MemoryBudget& budget) {
  const std::uint64_t n = selected_rows(parts);
  if (keep.size() != n) {
    return Status::invalid_argument(
        fmt::format("a mask of {} rows for a dataset of {}", format_count(keep.size()), format_count(n)));
  }
  return guard_selection([&]() -> Result<Parts> {
    Parts out;
    SelectionBuilder builder;
    std::size_t position = 0;
    for (const FilePart& part : parts) {
      RowCursor cursor(part);
      for (std::uint64_t i = 0; i < part.n_selected; ++i) {
        const RowIndex row = cursor.next();
        if (keep[position++] != 0) builder.add(row);
      }
      PENSTOCK_ASSIGN_OR_RETURN(FilePart taken, builder.take(part, budget));
      out.push_back(std::move(taken));
    }
    return out;
  });
}

// Sorted first, as a bitmap has no order: the rows of a Dataset come in the order of the files, however they
// were asked for.
Result<Parts> select_positions(std::span<const FilePart> parts, std::span<const std::int64_t> positions,
                               MemoryBudget& budget) {
  const std::uint64_t n = selected_rows(parts);
  return guard_selection([&]() -> Result<Parts> {
    std::vector<std::int64_t> sorted(positions.begin(), positions.end());
    std::sort(sorted.begin(), sorted.end());
    if (!sorted.empty() && (sorted.front() < 0 || static_cast<std::uint64_t>(sorted.back()) >= n)) {
      return Status::invalid_argument(fmt::format("row {} of a dataset of {} rows",
                                                  sorted.front() < 0 ? sorted.front() : sorted.back(),
                                                  format_count(n)));
    }
    // Repeated rows need a sampler and not a selection: a bitmap has no place for a second one.
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end()) {
      return Status::invalid_argument(
          fmt::format("row {} is asked for twice; a selection holds every row once", *twice));
    }
    Parts out;
    SelectionBuilder builder;
    std::uint64_t first = 0;
    auto next = sorted.begin();
    for (const FilePart& part : parts) {
      RowCursor cursor(part);
      for (std::uint64_t at = 0;
           next != sorted.end() && static_cast<std::uint64_t>(*next) < first + part.n_selected; ++next) {
        const std::uint64_t position = static_cast<std::uint64_t>(*next) - first;
        if (!part.selected) {
          builder.add(position);
          continue;
        }
        // Near positions are stepped to, far ones looked up.
        std::uint32_t row = 0;
        if (position - at > 64 && part.selected->select(static_cast<std::uint32_t>(position), &row)) {
          cursor.seek(row);
          at = position;
        }
        while (at < position) {
          cursor.next();
          ++at;
        }
        builder.add(cursor.next());
        ++at;
      }
      PENSTOCK_ASSIGN_OR_RETURN(FilePart taken, builder.take(part, budget));
      out.push_back(std::move(taken));
      first += part.n_selected;
    }
    return out;
  });
}

namespace {

// The rows of one file that a join keeps. Without a bitmap a part has all of its n_selected rows: an "or"
// with it is all rows, an "and" is the other side; a side without rows gives the other one, or nothing. What
// is left needs a new bitmap.
Result<FilePart> join_file(const FilePart& a, const FilePart& b, RowJoin how, MemoryBudget& budget) {
  FilePart out = a;
  const auto as_b = [&] {
    out.selected = b.selected;
    out.n_selected = b.n_selected;
    return out;
  };
  switch (how) {
    case RowJoin::either:
      if (!a.selected || b.n_selected == 0) return out;
      if (!b.selected || a.n_selected == 0) return as_b();
      return with_rows(a, *a.selected | *b.selected, budget);
    case RowJoin::both:
      if (!b.selected || a.n_selected == 0) return out;
      if (!a.selected || b.n_selected == 0) return as_b();
      return with_rows(a, *a.selected & *b.selected, budget);
    case RowJoin::without:
      break;
  }
  if (a.n_selected == 0 || b.n_selected == 0) return out;
  // Difference, the case that is left: rows of a that are not in b. Where a has all rows, they are all there
  // first.
  Bitmap rows;
  if (a.selected) {
    rows = *a.selected;
  } else {
    rows.addRange(0, a.n_selected);
  }
  if (b.selected) {
    rows -= *b.selected;
  } else {
    rows = Bitmap();
  }
  return with_rows(a, std::move(rows), budget);
}

}  // namespace

Result<Parts> join_rows(std::span<const FilePart> parts, std::span<const FilePart> others, RowJoin how,
                        MemoryBudget& budget) {
  return guard_selection([&]() -> Result<Parts> {
    Parts out;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      PENSTOCK_ASSIGN_OR_RETURN(FilePart joined, join_file(parts[i], others[i], how, budget));
      out.push_back(std::move(joined));
    }
    return out;
  });
}

// The row behind each position, for a run of positions: the first is looked up, and the others follow by
// stepping.
void global_rows(std::span<const FilePart> parts, std::uint64_t first, std::span<std::int64_t> out) {
  std::size_t written = 0;
  for (const FilePart& part : parts) {
    if (written == out.size()) return;
    // Positions count selected rows over the files; the first file that has this one is looked for.
    if (first >= part.n_selected) {
      first -= part.n_selected;
      continue;
    }
    RowCursor cursor(part);
    if (!part.selected) {
      cursor.seek(first);
    } else if (std::uint32_t row = 0; part.selected->select(static_cast<std::uint32_t>(first), &row)) {
      cursor.seek(row);
    }
    for (; first < part.n_selected && written < out.size(); ++first) {
      out[written++] = static_cast<std::int64_t>(part.first_row + cursor.next());
    }
    first = 0;
  }
}

namespace {

// Walks global rows in ascending order and says the position of each: how many selected rows come before it.
// Counting them anew for each row (the bitmap's rank) costs a walk over its containers; rows that are asked
// for lie close together as a rule, so that a cursor steps on from the last one, and only a far row is
// counted.
class PositionFinder {
 public:
  explicit PositionFinder(std::span<const FilePart> parts) : parts_(parts), cursor_(parts.front()) {}

  // Nothing when the row is not selected.
  std::optional<std::uint64_t> find(std::uint64_t row) {
    // Rows ascend, and so do files.
    while (file_ + 1 < parts_.size() && row >= parts_[file_ + 1].first_row) {
      before_ += parts_[file_].n_selected;
      cursor_ = RowCursor(parts_[++file_]);
      at_ = 0;
    }
    const FilePart& part = parts_[file_];
    const RowIndex local = row - part.first_row;
    if (!part.selected) {
      return local < part.n_selected ? std::optional(before_ + local) : std::nullopt;
    }
    const auto key = static_cast<std::uint32_t>(local);
    // A row beyond 32 bits would be cut to another one that may be selected.
    if (local > 0xffffffffULL || !part.selected->contains(key)) return std::nullopt;
    // Near rows are stepped to, far ones looked up.
    constexpr std::uint64_t kNear = 64;
    for (std::uint64_t i = 0; i < kNear && cursor_.peek() < local; ++i, ++at_) cursor_.next();
    if (cursor_.peek() < local) {
      // rank() counts the row itself.
      at_ = part.selected->rank(key) - 1;
      cursor_.seek(local);
    }
    return before_ + at_;
  }

 private:
  std::span<const FilePart> parts_;
  std::size_t file_ = 0;
  std::uint64_t before_ = 0;  // selected rows of the files before
  RowCursor cursor_;
  std::uint64_t at_ = 0;  // selected rows of this file that the cursor has passed
};

}  // namespace

Status positions_of(std::span<const FilePart> parts, std::span<const std::int64_t> rows,
                    std::span<std::int64_t> out) {
  if (rows.empty()) return {};
  return guard_selection([&]() -> Status {
    std::vector<std::size_t> order;
    // The rows of a batch are not sorted. Their order is sorted, so that answers go to where they were asked.
    if (!std::is_sorted(rows.begin(), rows.end())) {
      order.resize(rows.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rows[a] < rows[b]; });
    }
    std::optional<PositionFinder> finder;
    if (!parts.empty()) finder.emplace(parts);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t at = order.empty() ? i : order[i];
      const auto position =
          finder && rows[at] >= 0 ? finder->find(static_cast<std::uint64_t>(rows[at])) : std::nullopt;
      if (!position) {
        return Status::invalid_argument(
            fmt::format("row {} of all files is not among the {} rows selected here", rows[at],
                        format_count(selected_rows(parts))));
      }
      out[at] = static_cast<std::int64_t>(*position);
    }
    return {};
  });
}

}  // namespace penstock::internal
