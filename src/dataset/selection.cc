#include "dataset/selection.h"

#include <fmt/format.h>

#include <algorithm>

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

Result<Parts> select_slice(std::span<const FilePart> parts, std::uint64_t start, std::uint64_t stop,
                           std::uint64_t step, MemoryBudget& budget) {
  if (step == 0) return Status::invalid_argument("a slice with step 0");
  stop = std::min(stop, selected_rows(parts));
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

Result<Parts> select_without(std::span<const FilePart> parts, std::span<const FilePart> others,
                             MemoryBudget& budget) {
  return guard_selection([&]() -> Result<Parts> {
    Parts out;
    SelectionBuilder builder;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      RowCursor cursor(parts[i]), other(others[i]);
      std::uint64_t left = others[i].n_selected;
      RowIndex skip = left > 0 ? other.next() : 0;
      for (std::uint64_t n = 0; n < parts[i].n_selected; ++n) {
        const RowIndex row = cursor.next();
        while (left > 0 && skip < row) {
          if (--left > 0) skip = other.next();
        }
        if (left == 0 || skip != row) builder.add(row);
      }
      PENSTOCK_ASSIGN_OR_RETURN(FilePart taken, builder.take(parts[i], budget));
      out.push_back(std::move(taken));
    }
    return out;
  });
}

void global_rows(std::span<const FilePart> parts, std::uint64_t first, std::span<std::int64_t> out) {
  std::size_t written = 0;
  for (const FilePart& part : parts) {
    if (written == out.size()) return;
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

}  // namespace penstock::internal
