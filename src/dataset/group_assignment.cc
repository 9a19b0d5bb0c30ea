#include "dataset/group_assignment.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/checked.h"
#include "base/permutation.h"
#include "base/types.h"
#include "memory/reserve_for.h"

namespace penstock::internal {

namespace {

constexpr std::uint64_t kStream = 0x67726f757073;  // "groups"
constexpr int kPasses = 16;
// A move has to gain more than rounding could make up, or two moves might undo each other for ever.
constexpr double kNoGain = -1e-9;

// Groups in parts, so that the sum over parts p and classes s of
//
//     excess(p, s)^2 / size(s),    excess = rows of s in p - share(p) * size(s)
//
// is small. A class counts by its own size: ten rows too many are nothing in a class of a million and much in
// one of twenty. A group with r rows of a class changes the term of (p, s) by (2 * excess * r + r^2) / size
// when it comes. The last summand is the same in every part, so that the part where sum(excess * r / size) is
// least is the best one: that is pull(). Sums of squares have no need of roots or logarithms, whose last bit
// differs between machines, and a split has to be the same everywhere.
class Assignment {
 public:
  Assignment(const GroupRows& groups, std::span<const double> shares, std::size_t n_required)
      : groups_(groups),
        shares_(shares),
        n_required_(n_required),
        n_strata_(groups.sizes.size()),
        excess_(shares.size() * n_strata_),
        members_(shares.size(), 0),
        part_of_(groups.begins.size() - 1, 0) {
    for (std::size_t p = 0; p < shares.size(); ++p) {
      for (std::size_t s = 0; s < n_strata_; ++s) {
        // Nothing is placed yet: each part lacks its whole share.
        excess_[p * n_strata_ + s] = -shares[p] * static_cast<double>(groups.sizes[s]);
      }
    }
  }

  // Large groups first, while there is room everywhere; small ones fill what those left. "Large" is the power
  // of two of the number of rows: within one the order is random, or else the seed would choose nothing.
  void place(std::uint64_t seed) {
    std::vector<std::uint32_t> order(part_of_.size());
    const KeyedPermutation random(order.size(), mix(seed, kStream, 0));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(random(i));
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return std::bit_width(rows_of(a)) > std::bit_width(rows_of(b));
    });
    for (const std::uint32_t g : order) {
      std::size_t best = 0;
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t p = 0; p < shares_.size(); ++p) {
        // A part with a share of 0 gets nothing, not even a group that would fit nowhere else.
        const double score = shares_[p] > 0 ? pull(g, p) : std::numeric_limits<double>::infinity();
        if (score < least) {
          least = score;
          best = p;
        }
      }
      add(g, best, 1);
    }
  }

  // A part without a group takes the one that does the least harm.
  void fill_empty() {
    for (std::size_t p = 0; p < n_required_; ++p) {
      // There are at least as many groups as parts that need one, so that some part has a group to spare.
      if (shares_[p] <= 0 || members_[p] > 0) continue;
      std::size_t best = part_of_.size();
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t g = 0; g < part_of_.size(); ++g) {
        const double cost = may_leave(g) ? change(g, p) : std::numeric_limits<double>::infinity();
        if (cost < least) {
          least = cost;
          best = g;
        }
      }
      move(best, p);
    }
  }

  // Single groups move while that helps. The sum falls with every move, so this ends; kPasses is for the time
  // that it may take. What only an exchange of two groups would improve stays as it is.
  void improve() {
    bool moved = true;
    for (int pass = 0; pass < kPasses && moved; ++pass) {
      moved = false;
      for (std::size_t g = 0; g < part_of_.size(); ++g) {
        if (!may_leave(g)) continue;
        std::size_t best = part_of_[g];
        double least = kNoGain;
        for (std::size_t p = 0; p < shares_.size(); ++p) {
          if (p == part_of_[g] || shares_[p] <= 0) continue;
          const double cost = change(g, p);
          if (cost < least) {
            least = cost;
            best = p;
          }
        }
        if (best == part_of_[g]) continue;
        move(g, best);
        moved = true;
      }
    }
  }

  std::vector<std::uint32_t> take() { return std::move(part_of_); }

 private:
  template <class F>
  void for_each_class(std::size_t g, F&& f) const {
    for (std::uint64_t i = groups_.begins[g]; i < groups_.begins[g + 1]; ++i) {
      const std::uint32_t s = groups_.strata[i];
      f(s, static_cast<double>(groups_.rows[i]), static_cast<double>(groups_.sizes[s]));
    }
  }
  // Of all its classes: the last one that a group lists is that of all rows.
  std::uint64_t rows_of(std::size_t g) const { return groups_.rows[groups_.begins[g + 1] - 1]; }
  // Half of what adding the group to a part changes, as far as it depends on the part.
  double pull(std::size_t g, std::size_t p) const {
    double sum = 0;
    for_each_class(g, [&](std::uint32_t s, double rows, double size) {
      sum += rows * excess_[p * n_strata_ + s] / size;
    });
    return sum;
  }
  // What moving the group to part q adds to the sum of squares, halved.
  double change(std::size_t g, std::size_t q) const {
    double self = 0;
    for_each_class(g, [&](std::uint32_t, double rows, double size) { self += rows * rows / size; });
    // Leaving the old part and coming to the new one: (-2 * excess_old * r + r^2 + 2 * excess_new * r + r^2)
    // / 2 = r^2 + r * (excess_new - excess_old), for each class divided by its size. The worked case: a group
    // of 10 rows, 6 too many in its part and 6 too few in the other, all rows one class of 100. 100 / 100 +
    // 10 * (-6 - 6) / 100 is -0.2, so that it moves.
    return self + pull(g, q) - pull(g, part_of_[g]);
  }
  // A part that must have a group keeps its last one.
  bool may_leave(std::size_t g) const { return part_of_[g] >= n_required_ || members_[part_of_[g]] > 1; }
  void add(std::size_t g, std::size_t p, int sign) {
    for_each_class(g,
                   [&](std::uint32_t s, double rows, double) { excess_[p * n_strata_ + s] += sign * rows; });
    part_of_[g] = static_cast<std::uint32_t>(p);
    members_[p] += static_cast<std::uint64_t>(sign);
  }
  void move(std::size_t g, std::size_t p) {
    add(g, part_of_[g], -1);
    add(g, p, 1);
  }

  const GroupRows& groups_;
  const std::span<const double> shares_;
  const std::size_t n_required_, n_strata_;
  std::vector<double> excess_;  // rows of part and class beyond the share
  std::vector<std::uint64_t> members_;
  std::vector<std::uint32_t> part_of_;
};

}  // namespace

Result<std::vector<std::uint32_t>> assign_groups(const GroupRows& groups, std::span<const double> shares,
                                                 std::size_t n_required, std::uint64_t seed,
                                                 MemoryBudget& budget) {
  const auto cells = checked_mul(groups.sizes.size(), shares.size());
  const auto bytes = cells ? checked_mul(*cells, sizeof(double)) : cells;
  // The order of placing, its copy while it is sorted, and the part of each group.
  const ByteCount order = groups.begins.size() * 3 * sizeof(std::uint32_t);
  PENSTOCK_ASSIGN_OR_RETURN(
      const Reservation held,
      reserve_for("rows of each class and part", budget, MemoryTag::obs,
                  std::min(bytes.value_or(~ByteCount{0} >> 2), ~ByteCount{0} >> 2) + order));
  Assignment assignment(groups, shares, n_required);
  assignment.place(seed);
  assignment.fill_empty();
  assignment.improve();
  return assignment.take();
}

}  // namespace penstock::internal
