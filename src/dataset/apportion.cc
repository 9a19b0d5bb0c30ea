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
        if (cell.rest == 0) continue;
        cells_[s * n_parts + p] = Cell::down;
        open.push_back(p);
      }
      std::stable_sort(open.begin(), open.end(),
                       [&](std::size_t a, std::size_t b) { return lack[a] > lack[b]; });
      for (std::size_t j = 0; j < left && j < open.size(); ++j) {
        cells_[s * n_parts + open[j]] = Cell::up;
        ++counts_[s * n_parts + open[j]];
        ++totals_[open[j]];
        lack[open[j]] -= 1;
      }
    }
  }

  // Parts with too many rows hand one on, along a path of classes in which one part was rounded up and the
  // next one down, until every total is right.
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
