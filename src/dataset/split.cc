// Random parts of a selection. All three kinds end in deal(), which goes over the rows of the files once, in
// order, and gives each run of rows to a part; they differ in how a row's part is found:
//
//     split()           its place in a shuffled order of units; cuts of that order are the parts
//     split_strata()    its place among the rows of its class, in a shuffled order of that class alone
//     split_groups()    that of its group; groups are given to parts beforehand (group_assignment.cc)
//
// No list of rows is made: orders are keyed permutations, which compute a place from a number. The same
// arguments give the same parts on every machine and in every later version, since papers say "split with
// seed 0".
#include "dataset/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/checked.h"
#include "base/permutation.h"
#include "dataset/apportion.h"
#include "dataset/group_assignment.h"
#include "dataset/selection_builder.h"
#include "memory/reserve_for.h"

namespace penstock::internal {

namespace {

// Fractions that sum to this much are meant to sum to 1.
constexpr double kAll = 1 - 1e-9;

// Cuts [0, n) of a random order of the positions into parts; see Dataset::split. The order is a keyed
// permutation of units of consecutive positions; only the last unit is short, so the units behind it start
// earlier. 10 rows in units of 4 are units of 4, 4 and 2. Shuffled to the places 2, 0, 1 the order begins
// with unit 1 (rows 4 to 7), then unit 2 (8, 9), then unit 0, which starts at 6 and not at 8, because the
// short one comes before it. A cut at 7 leaves row 0 in the first part and rows 1 to 3 in the second.
//
// No order is kept: going over the units in file order, each says where it lies in the shuffled one, and so
// in which part. Rows come out ascending, as a selection wants them.
class SplitOrder {
 public:
  static constexpr std::uint64_t kSingleRows = 1'000'000, kRun = 256, kStream = 0x73706c6974;  // "split"

  SplitOrder(std::uint64_t n, std::uint64_t unit, std::vector<std::uint64_t> bounds, std::uint64_t seed)
      : unit_(unit != 0         ? std::min(unit, std::max<std::uint64_t>(n, 1))
              : n < kSingleRows ? 1
                                : kRun),
        n_units_(ceil_div(n, unit_)),
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
        // A unit may lie over a cut; it is divided there, so that parts have their sizes exactly.
        const auto above = std::upper_bound(bounds_.begin(), bounds_.end(), at);
        const std::uint64_t stop = above == bounds_.end() ? end : std::min(end, *above);
        f(static_cast<std::size_t>(above - bounds_.begin()), stop - at);
        at = stop;
      }
    }
  }

 private:
  const std::uint64_t unit_, n_units_;
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
    // Cuts are rounded and not sizes: three thirds of 10 rows end at 3, 7 and 10, and leave no row over.
    const double end = std::nearbyint(std::min(sum, 1.0) * static_cast<double>(n));
    bounds.push_back(std::min(n, static_cast<std::uint64_t>(end)));
  }
  // 0.7 + 0.2 + 0.1 is not quite 1; nobody means to leave a row out by that.
  if (sum > kAll) bounds.back() = n;
  return bounds;
}

// The fractions, which have been looked at, and what they leave, if anything, as shares that sum to 1. What
// the fractions leave is a part like the others while rows are given out, and is dropped in the end: deal()
// collects it with its last builder.
std::vector<double> shares_of(std::span<const double> fractions) {
  std::vector<double> shares(fractions.begin(), fractions.end());
  double sum = 0;
  for (const double share : shares) sum += share;
  if (sum > kAll) {
    for (double& share : shares) share /= sum;
  } else {
    shares.push_back(1 - sum);
  }
  return shares;
}

// Deals the rows of `parts` out to n_parts. for_each_run(f) calls f(part, count) for consecutive runs of
// positions from the first to the last; part == n_parts: in none.
template <class F>
Result<std::vector<Parts>> deal(std::span<const FilePart> parts, std::size_t n_parts, MemoryBudget& budget,
                                F&& for_each_run) {
  return guard_selection([&]() -> Result<std::vector<Parts>> {
    std::vector<Parts> out(n_parts);
    std::vector<SelectionBuilder> builders(n_parts + 1);  // the last collects what no part gets
    std::size_t file = 0;
    std::uint64_t done = 0;  // selected rows of this file that have been dealt out
    RowCursor cursor(parts.empty() ? FilePart() : parts[0]);
    Status status;
    // Called before the first row as well, and until a file with rows comes: files without any are complete
    // at once.
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
        // Rows that no part gets were collected for simplicity, and are let go of here.
        builders.back() = SelectionBuilder();
        done = 0;
        if (++file < parts.size()) cursor = RowCursor(parts[file]);
      }
    };
    finish_full_files();
    for_each_run([&](std::size_t part, std::uint64_t count) {
      while (count > 0 && status.ok()) {
        const std::uint64_t here = std::min(count, parts[file].n_selected - done);
        if (!parts[file].selected) {
          // Single rows go into the builder's buffer; a range would be written to the bitmap at once.
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

// f(part_of(position), 1) for every position.
template <class F>
auto row_by_row(std::uint64_t n, F part_of) {
  return [n, part_of = std::move(part_of)](auto&& f) mutable {
    for (std::uint64_t position = 0; position < n; ++position) f(part_of(position), std::uint64_t{1});
  };
}

constexpr ByteCount kBytesPerCell = 96;  // of a count while and after it is counted

// Rows by group and class; the last class is all rows.
Result<GroupRows> count_rows(const RowKeys& groups, const RowKeys* strata, Reservation& held,
                             MemoryBudget& budget) {
  GroupRows out;
  const std::uint64_t n_strata = strata == nullptr ? 0 : strata->size();
  // Most groups have few of the classes, so that pairs are counted and not a table of all.
  std::unordered_map<std::uint64_t, std::uint64_t> cells;  // group << 32 | class
  const auto hold = [&](std::uint64_t n) {
    return resize_for("rows of groups", budget, held, MemoryTag::obs, n * kBytesPerCell);
  };
  std::uint64_t room = groups.size() + n_strata + 1024;
  PENSTOCK_RETURN_IF_ERROR(hold(room));
  if (strata != nullptr) {
    for (std::uint64_t i = 0; i < groups.n_rows(); ++i) {
      ++cells[std::uint64_t{groups[i]} << 32 | (*strata)[i]];
      if (cells.size() + groups.size() + n_strata + 1 < room) continue;
      room *= 2;
      PENSTOCK_RETURN_IF_ERROR(hold(room));
    }
    out.sizes.assign(strata->sizes().begin(), strata->sizes().end());
  }
  out.sizes.push_back(groups.n_rows());
  std::vector<std::pair<std::uint64_t, std::uint64_t>> sorted(cells.begin(), cells.end());
  // By group, then class: the order of an unordered_map is not the same everywhere, and sums of floats would
  // depend on it.
  std::sort(sorted.begin(), sorted.end());
  auto next = sorted.begin();
  for (std::uint64_t g = 0; g < groups.size(); ++g) {
    for (; next != sorted.end() && next->first >> 32 == g; ++next) {
      out.strata.push_back(static_cast<std::uint32_t>(next->first));
      out.rows.push_back(next->second);
    }
    // The class of all rows comes last in each group; GroupRows promises that.
    out.strata.push_back(static_cast<std::uint32_t>(n_strata));
    out.rows.push_back(groups.sizes()[g]);
    out.begins.push_back(out.rows.size());
  }
  return out;
}

}  // namespace

Result<std::vector<Parts>> split(std::span<const FilePart> parts, std::span<const double> fractions,
                                 std::uint64_t seed, std::uint64_t unit, MemoryBudget& budget) {
  const std::uint64_t n = selected_rows(parts);
  PENSTOCK_ASSIGN_OR_RETURN(auto bounds, split_bounds(fractions, n));
  const SplitOrder order(n, unit, std::move(bounds), seed);
  return deal(parts, fractions.size(), budget, [&](auto&& f) { order.for_each_run(f); });
}

Result<std::vector<Parts>> split_strata(std::span<const FilePart> parts, std::span<const double> fractions,
                                        std::uint64_t seed, const RowKeys& strata, MemoryBudget& budget) {
  PENSTOCK_RETURN_IF_ERROR(split_bounds(fractions, strata.n_rows()).status());
  return guard_selection([&]() -> Result<std::vector<Parts>> {
    const std::vector<double> shares = shares_of(fractions);
    PENSTOCK_ASSIGN_OR_RETURN(Apportioned table, apportion(strata.sizes(), shares, seed, budget));
    // A class's rows take the places of a random order of their own; its parts are cuts of that order.
    struct Class {
      KeyedPermutation order;
      std::uint64_t seen = 0;
    };
    PENSTOCK_ASSIGN_OR_RETURN(const Reservation held, reserve_for("orders of classes", budget, MemoryTag::obs,
                                                                  strata.size() * sizeof(Class)));
    std::vector<Class> classes;
    classes.reserve(strata.size());
    for (std::uint64_t s = 0; s < strata.size(); ++s) {
      classes.push_back({KeyedPermutation(strata.sizes()[s], mix(seed, SplitOrder::kStream, s + 1))});
      // Counts become the ends of the parts in the order.
      for (std::size_t p = 1; p < shares.size(); ++p) {
        table.counts[s * shares.size() + p] += table.counts[s * shares.size() + p - 1];
      }
    }
    return deal(
        parts, fractions.size(), budget, row_by_row(strata.n_rows(), [&](std::uint64_t position) {
          const std::uint32_t s = strata[position];
          // The n-th row of a class, in the order of the files, has the n-th place of the class's
          // permutation.
          const std::uint64_t place = classes[s].order(classes[s].seen++);
          const auto ends = std::span(table.counts).subspan(s * shares.size(), shares.size());
          return static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), place) - ends.begin());
        }));
  });
}

Result<std::vector<Parts>> split_groups(std::span<const FilePart> parts, std::span<const double> fractions,
                                        std::uint64_t seed, const RowKeys& groups, const RowKeys* strata,
                                        MemoryBudget& budget) {
  // Only for its checks of the fractions.
  PENSTOCK_RETURN_IF_ERROR(split_bounds(fractions, groups.n_rows()).status());
  const auto n_required = static_cast<std::uint64_t>(
      std::count_if(fractions.begin(), fractions.end(), [](double f) { return f > 0; }));
  if (groups.size() < n_required) {
    return Status::invalid_argument(fmt::format("{} parts need a group each; groups in the selected rows: {}",
                                                n_required, groups.size()));
  }
  return guard_selection([&]() -> Result<std::vector<Parts>> {
    const std::vector<double> shares = shares_of(fractions);
    PENSTOCK_ASSIGN_OR_RETURN(Reservation held, budget.reserve(MemoryTag::obs, 0));
    PENSTOCK_ASSIGN_OR_RETURN(const GroupRows rows, count_rows(groups, strata, held, budget));
    PENSTOCK_ASSIGN_OR_RETURN(const auto part_of,
                              assign_groups(rows, shares, fractions.size(), seed, budget));
    return deal(parts, fractions.size(), budget, row_by_row(groups.n_rows(), [&](std::uint64_t position) {
                  return static_cast<std::size_t>(part_of[groups[position]]);
                }));
  });
}

}  // namespace penstock::internal
