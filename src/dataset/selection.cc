#include "dataset/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/permutation.h"
#include "dataset/selection_builder.h"

namespace penstock::internal {

namespace {

// Cuts [0, n) of a random order of the positions into parts; see Dataset::split. The order is a keyed
// permutation of units of consecutive positions; only the last unit is short, so the units behind it start
// earlier.
class SplitOrder {
 public:
  static constexpr std::uint64_t kSingleRows = 1'000'000, kRun = 256, kStream = 0x73706c6974;  // "split"

  SplitOrder(std::uint64_t n, std::vector<std::uint64_t> bounds, std::uint64_t seed)
      : n_(n),
        unit_(n < kSingleRows ? 1 : kRun),
        n_units_((n + unit_ - 1) / unit_),
        order_(n_units_, mix(seed, kStream, 0)),
        bounds_(std::move(bounds)),
        last_place_(n_units_ == 0 ? 0 : order_(n_units_ - 1)),
        short_by_(n_units_ * unit_ - n) {}

  // f(part, count) for consecutive runs of positions from 0 to n; part == number of parts: in none.
  template <class F>
  void for_each_run(F&& f) const {
    for (std::uint64_t u = 0; u < n_units_; ++u) {
      const std::uint64_t place = order_(u);
      std::uint64_t at = place * unit_ - (place > last_place_ ? short_by_ : 0);
      const std::uint64_t end = at + (u + 1 == n_units_ ? unit_ - short_by_ : unit_);
      while (at < end) {
        const auto above = std::upper_bound(bounds_.begin(), bounds_.end(), at);
        const std::uint64_t stop = above == bounds_.end() ? end : std::min(end, *above);
        f(static_cast<std::size_t>(above - bounds_.begin()), stop - at);
        at = stop;
      }
    }
  }

 private:
  const std::uint64_t n_, unit_, n_units_;
  const KeyedPermutation order_;
  const std::vector<std::uint64_t> bounds_;  // the end of each part
  const std::uint64_t last_place_, short_by_;
};

Result<std::vector<std::uint64_t>> split_bounds(std::span<const double> fractions, std::uint64_t n) {
  if (fractions.empty()) return Status::invalid_argument("split: no fractions");
  std::vector<std::uint64_t> bounds;
  double sum = 0;
  for (const double fraction : fractions) {
    if (!(fraction >= 0 && fraction <= 1)) {
      return Status::invalid_argument(fmt::format("split: {} is not a fraction from 0 to 1", fraction));
    }
    sum += fraction;
    if (sum > 1 + 1e-9) {
      return Status::invalid_argument(fmt::format("split: the fractions sum to {}, more than 1", sum));
    }
    const double end = std::nearbyint(std::min(sum, 1.0) * static_cast<double>(n));
    bounds.push_back(std::min(n, static_cast<std::uint64_t>(end)));
  }
  // 0.7 + 0.2 + 0.1 is not quite 1; nobody means to leave a row out by that.
  if (sum > 1 - 1e-9) bounds.back() = n;
  return bounds;
}

}  // namespace

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

Result<std::vector<Parts>> split(std::span<const FilePart> parts, std::span<const double> fractions,
                                 std::uint64_t seed, MemoryBudget& budget) {
  const std::uint64_t n = selected_rows(parts);
  PENSTOCK_ASSIGN_OR_RETURN(auto bounds, split_bounds(fractions, n));
  return guard_selection([&]() -> Result<std::vector<Parts>> {
    const SplitOrder order(n, std::move(bounds), seed);
    std::vector<Parts> out(fractions.size());
    std::vector<SelectionBuilder> builders(fractions.size() + 1);  // the last collects what no part gets
    std::size_t file = 0;
    std::uint64_t done = 0;  // selected rows of this file that have been dealt out
    RowCursor cursor(parts.empty() ? FilePart() : parts[0]);
    Status status;
    const auto finish_full_files = [&] {
      while (status.ok() && file < parts.size() && done == parts[file].n_selected) {
        for (std::size_t i = 0; i < out.size() && status.ok(); ++i) {
          auto taken = builders[i].take(parts[file], budget);
          if (!taken.ok()) {
            status = std::move(taken).status();
          } else {
            out[i].push_back(std::move(taken).value());
          }
        }
        builders.back() = SelectionBuilder();
        done = 0;
        if (++file < parts.size()) cursor = RowCursor(parts[file]);
      }
    };
    finish_full_files();
    order.for_each_run([&](std::size_t part, std::uint64_t count) {
      while (count > 0 && status.ok()) {
        const std::uint64_t here = std::min(count, parts[file].n_selected - done);
        if (!parts[file].selected) {
          if (here == 1) {
            builders[part].add(done);
          } else {
            builders[part].add_range(done, done + here);
          }
        } else {
          for (std::uint64_t i = 0; i < here; ++i) builders[part].add(cursor.next());
        }
        done += here;
        count -= here;
        finish_full_files();
      }
    });
    if (!status.ok()) return status;
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
