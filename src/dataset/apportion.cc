// Controlled rounding of a table (L. H. Cox, "A constructive procedure for unbiased controlled rounding",
// 1987, has the idea of paths through cells that are rounded up and down in turn). The first step deals with
// rows one by one and is nearly always all there is to do; the second one mends what it left.
#include "dataset/apportion.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "base/checked.h"
#include "base/permutation.h"
#include "memory/reserve_for.h"

namespace penstock::internal {

namespace {

constexpr std::uint64_t kStream = 0x737472617461;  // "strata"

// Products closer to a whole number than this are it: 0.1 * 30 is 3.
// A product of shares and counts is off by some 1e-16 of itself; counts up to a billion stay well on the
// right side.
constexpr double kWhole = 1e-6;

struct Rounded {
  std::uint64_t down = 0;
  double rest = 0;  // 0: whole
};
Rounded round_down(double x) {
  const double near = std::nearbyint(x);
  if (std::abs(x - near) < kWhole) return {static_cast<std::uint64_t>(near), 0};
  const double down = std::floor(x);
  return {static_cast<std::uint64_t>(down), x - down};
}

// The products sizes[s] * shares[p] as a table, of which each cell is rounded down or up.
//
// Two classes of 5 rows and 7 rows, shares of 1/2, 3/10 and 1/5:
//
//               1/2   3/10   1/5  | size
//     class 0   2.5    1.5   1.0  |   5
//     class 1   3.5    2.1   1.4  |   7
//     all       6     3.6    2.4  |  12
//
// Rounded down the cells of class 0 hold 2 + 1 + 1 rows: one is left, and one of the first two cells gets it.
// The third is whole and never moves. Class by class that is easy (deal()); but a column must come out
// right, too: the first part has 6 rows, the second 3 or 4, the third 2 or 3. What dealing left wrong there
// balance() mends, by rounding other cells of the same row up, so that the sums of rows stay.
class Table {
 public:
  Table(std::span<const std::uint64_t> sizes, std::span<const double> shares,
        std::vector<std::uint64_t>& counts)
      : sizes_(sizes), shares_(shares), counts_(counts), totals_(shares.size()), cells_(counts.size()) {
    std::uint64_t n = 0;
    for (const std::uint64_t size : sizes) n += size;
    for (const double share : shares) {
      const Rounded all = round_down(share * static_cast<double>(n));
      least_.push_back(all.down);
      most_.push_back(all.down + (all.rest > 0 ? 1 : 0));
    }
  }

  // Class by class: what rounding down leaves goes to the parts that lack most so far.
  void deal(std::uint64_t seed) {
    const std::size_t n_parts = shares_.size();
    // In the order of the file the first classes would always get the same roundings.
    const KeyedPermutation order(sizes_.size(), mix(seed, kStream, 0));
    std::vector<double> lack(n_parts, 0);
    std::vector<std::size_t> open;
    for (std::uint64_t i = 0; i < sizes_.size(); ++i) {
      const std::size_t s = order(i);
      std::uint64_t left = sizes_[s];
      open.clear();
      for (std::size_t p = 0; p < n_parts; ++p) {
        const Rounded cell = round_down(shares_[p] * static_cast<double>(sizes_[s]));
        counts_[s * n_parts + p] = cell.down;
        totals_[p] += cell.down;
        left -= cell.down;
        lack[p] += cell.rest;
        // Whole cells are right as they are, and no path may lead through them.
        if (cell.rest == 0) continue;
        cells_[s * n_parts + p] = Cell::down;
        open.push_back(p);
      }
      // The sort is stable, so that parts which lack the same come in their order on every machine.
      std::stable_sort(open.begin(), open.end(),
                       [&](std::size_t a, std::size_t b) { return lack[a] > lack[b]; });
      // The fractions of a class sum to a whole number, so that as many cells can be rounded up as there are
      // rows left.
      for (std::size_t j = 0; j < left && j < open.size(); ++j) {
        cells_[s * n_parts + open[j]] = Cell::up;
        ++counts_[s * n_parts + open[j]];
        ++totals_[open[j]];
        lack[open[j]] -= 1;
      }
    }
  }

  // Parts with too many rows hand one on, along a path of classes in which one part was rounded up and the
  // next one down, until every total is right. First those that have more than their share rounded up; when
  // there are none, those that have less than their share rounded down are served by any part that can spare
  // a row. Each round mends one row of one part and spoils none, so there is an end; and a path exists as
  // long as a total is wrong, since the products themselves are a table whose totals are right.
  Status balance() {
    for (;;) {
      std::vector<std::size_t> from;
      std::vector<bool> to(shares_.size(), false);
      for (std::size_t p = 0; p < shares_.size() && from.empty(); ++p) {
        if (totals_[p] > most_[p]) from.push_back(p);
      }
      if (!from.empty()) {
        for (std::size_t p = 0; p < shares_.size(); ++p) to[p] = totals_[p] < most_[p];
      } else {
        const auto under = std::mismatch(totals_.begin(), totals_.end(), least_.begin(),
                                         [](std::uint64_t have, std::uint64_t want) { return have >= want; });
        if (under.first == totals_.end()) return {};
        to[static_cast<std::size_t>(under.first - totals_.begin())] = true;
        for (std::size_t p = 0; p < shares_.size(); ++p) {
          if (totals_[p] > least_[p]) from.push_back(p);
        }
      }
      if (!hand_on(from, to)) return Status::internal("no way to round the classes of a split");
    }
  }

 private:
  enum class Cell : std::uint8_t { whole, down, up };
  struct Step {
    std::size_t part = 0, stratum = 0;
    bool known = false;
  };

  // The shortest way of one row from one of `from` to one of `to`, found in breadth: from part p a class in
  // which p was rounded up leads to each part that was rounded down there. All steps of the way change places
  // at once. The parts between give one row and get one, so only the totals at its two ends change.
  bool hand_on(const std::vector<std::size_t>& from, const std::vector<bool>& to) {
    const std::size_t n_parts = shares_.size();
    std::vector<Step> before(n_parts);
    std::deque<std::size_t> queue(from.begin(), from.end());
    for (const std::size_t p : from) before[p] = {p, 0, true};
    while (!queue.empty()) {
      const std::size_t p = queue.front();
      queue.pop_front();
      for (std::size_t s = 0; s < sizes_.size(); ++s) {
        if (cells_[s * n_parts + p] != Cell::up) continue;
        for (std::size_t q = 0; q < n_parts; ++q) {
          if (before[q].known || cells_[s * n_parts + q] != Cell::down) continue;
          before[q] = {p, s, true};
          if (!to[q]) {
            queue.push_back(q);
            continue;
          }
          // Back from the end to the part that is its own beginning.
          ++totals_[q];
          for (std::size_t at = q; before[at].part != at; at = before[at].part) {
            move(before[at].stratum, before[at].part, at);
            if (before[before[at].part].part == before[at].part) --totals_[before[at].part];
          }
          return true;
        }
      }
    }
    return false;
  }

  void move(std::size_t s, std::size_t p, std::size_t q) {
    const std::size_t row = s * shares_.size();
    cells_[row + p] = Cell::down;
    cells_[row + q] = Cell::up;
    --counts_[row + p];
    ++counts_[row + q];
  }

  const std::span<const std::uint64_t> sizes_;
  const std::span<const double> shares_;
  std::vector<std::uint64_t>& counts_;
  std::vector<std::uint64_t> totals_, least_, most_;
  std::vector<Cell> cells_;
};

}  // namespace

Result<Apportioned> apportion(std::span<const std::uint64_t> sizes, std::span<const double> shares,
                              std::uint64_t seed, MemoryBudget& budget) {
  Apportioned out;
  const auto cells = checked_mul(sizes.size(), shares.size());
  // Ten million classes in three parts are 270 MB: the budget is asked first.
  const auto bytes = cells ? checked_mul(*cells, sizeof(std::uint64_t) + 1) : cells;
  PENSTOCK_ASSIGN_OR_RETURN(out.held, reserve_for("rows of each class and part", budget, MemoryTag::obs,
                                                  bytes.value_or(~std::uint64_t{0} >> 2)));
  out.counts.resize(*cells);
  Table table(sizes, shares, out.counts);
  table.deal(seed);
  PENSTOCK_RETURN_IF_ERROR(table.balance());
  return out;
}

}  // namespace penstock::internal
