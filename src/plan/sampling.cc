// A worked example of Note [Systematic sampling]. Three blocks with masses 5, 3 and 2 make an axis of 10, and
// an epoch has 4 rows, so that points lie 2.5 apart:
//
//     masses      |    5    |  3  | 2 |
//     offset 3    |  .    . |  .  | . |      2, 1 and 1 copies
//     offset 9    |.   .    |.   .|   |      2, 2 and 0 copies
//
// On average over all offsets a block gets 2, 1.2 and 0.8 copies, which is what it weighs, and in every
// epoch there are four. No point is ever laid: the copies of all blocks before a place of the axis are
// floor((place * 4 + offset) / 10), and a block has the difference of two such numbers. So any block of any
// epoch can be asked for alone.

#include "plan/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/checked.h"
#include "base/permutation.h"
#include "memory/reserve_for.h"

namespace penstock::plan {
namespace {

// Streams of mix(): the order of blocks on the axis, that of rows in blocks, and the points' offset.
constexpr std::uint64_t kLineStream = 0x6d61737365, kRowStream = 0x726f777320, kPointStream = 0x706f696e7473;
// Blocks of an epoch that is one of several in a pass. Where rows are weighted their classes should come as
// often as they weigh: with so many blocks the shares of a hundred classes that each lie in a row differ
// by 8 %.
constexpr std::uint64_t kLeastBlocks = 256, kLeastWeightedBlocks = 16'384;
// Copies that a visit takes, at most about, in rows of an average block.
constexpr std::uint64_t kRowsPerVisit = 4;

// Note [One array, three meanings]. Nothing is allocated while blocks are decoded, so that each phase of
// share_out() keeps what it knows of a row in the same 16 bytes, those of Copies::OfRow. They come in with
// the row's weight (`first`); then they are a Due, the copies that are sure to come and the chance of one
// more; and they leave as the row's copies, [first, last). due_of() and set_due() alone know how a Due lies
// there.
struct Due {
  std::uint64_t sure = 0;
  double chance = 0;  // in [0, 1]
};
Due due_of(const Copies::OfRow& row) { return {row.first, std::bit_cast<double>(row.last)}; }
void set_due(Copies::OfRow& row, const Due& due) {
  row = {due.sure, std::bit_cast<std::uint64_t>(due.chance)};
}

// The rows' chances f add up to floor + part: the block has floor points, or one more in `part` of all
// epochs. Makes them add up to floor + 1 (`more`), by g = min(r f, 1, f / part) with one r for all, or else
// to floor, by (f - part g) / (1 - part), which is a chance, too. Over all epochs that is f.
//
// Example: chances 0.9, 0.3 and 0.3 add up to 1 + 0.5. In every other epoch there are two points: r = 4/3
// would make the first chance 1.2, more than it can be, so that it is 1 and the others share what is left of
// 2, 0.5 each (r = 5/3). In the epochs between there is one point: (0.9 - 0.5) / 0.5 = 0.8, and 0.1 for each
// of the others. On average 0.9, 0.3 and 0.3.
void adjust_chances(std::span<Copies::OfRow> rows, std::uint64_t floor, double part, bool more) {
  const auto most = [&](double f) { return std::min(1.0, f / part); };
  double ratio = 1;
  // Each turn finds rows that reach their most, or is the last.
  for (bool again = true; again;) {
    again = false;
    double full = 0, free = 0;
    for (const Copies::OfRow& row : rows) {
      const double f = due_of(row).chance;
      if (ratio * f >= most(f)) {
        full += most(f);
      } else {
        free += f;
      }
    }
    const double wanted = free <= 0 ? ratio : (static_cast<double>(floor) + 1 - full) / free;
    if (wanted > ratio * (1 + 1e-12)) {
      ratio = wanted;
      again = true;
    }
  }
  for (Copies::OfRow& row : rows) {
    const auto [sure, f] = due_of(row);
    const double g = std::min(ratio * f, most(f));
    set_due(row, {sure, more ? g : std::clamp((f - part * g) / (1 - part), 0.0, 1.0)});
  }
}

}  // namespace

Result<Sampling> Sampling::reserve(std::uint64_t n_blocks, std::uint64_t seed, MemoryBudget& budget) {
  Sampling out(n_blocks, mix(seed, kLineStream, 0));
  PENSTOCK_ASSIGN_OR_RETURN(out.held_, reserve_for("weights of blocks", budget, MemoryTag::index,
                                                   2 * (n_blocks + 1) * sizeof(std::uint64_t)));
  // At first before_[i + 1] is the mass of the block at place i; finish() adds them up.
  out.before_.assign(n_blocks + 1, 0);
  out.first_visit_.reserve(n_blocks + 1);
  return out;
}

Status Sampling::finish(const Ask& ask) {
  // From here on before_[i] is the mass of all places before i.
  for (std::size_t i = 1; i < before_.size(); ++i) before_[i] += before_[i - 1];
  PENSTOCK_CHECK(mass() < kMass * 2 && ask.epoch_size <= kMostEpochRows);
  if (mass() == 0) return Status::invalid_argument("weights: no selected row has a weight above 0");
  epoch_size_ = ask.epoch_size;
  // As many epochs as the data has rows for, but no more than leave enough blocks to each of them.
  epochs_per_pass_ =
      std::max<std::uint64_t>(1, std::min(ask.n_rows / ask.epoch_size,
                                          n_blocks() / (ask.weighted ? kLeastWeightedBlocks : kLeastBlocks)));
  const std::uint64_t most = ask.shuffle ? kRowsPerVisit * ceil_div(ask.n_rows, n_blocks()) : kMostEpochRows;
  for (std::uint64_t b = 0; b < n_blocks(); ++b) {
    const Stretch block = stretch(b);
    // Independent of the epoch: what the weight says, rounded up.
    const auto expected = static_cast<std::uint64_t>(
        (static_cast<unsigned __int128>(block.last - block.first) * pass_rows() + mass() - 1) / mass());
    // At most a visit per copy, and as many as 32 bits count.
    first_visit_.push_back(first_visit_.back() +
                           std::clamp<std::uint64_t>(ceil_div(expected, most), 1, 1U << 31));
  }
  return {};
}

Sampling::Visit Sampling::visit(std::uint64_t number) const {
  std::uint64_t block = number;
  // With a visit for each block, which is the common case, there is nothing to search.
  if (n_visits() != n_blocks()) {
    const auto after = std::upper_bound(first_visit_.begin(), first_visit_.end(), number);
    block = static_cast<std::uint64_t>(after - first_visit_.begin()) - 1;
  }
  const std::uint64_t first = first_visit_[block];
  return {block, static_cast<std::uint32_t>(number - first),
          static_cast<std::uint32_t>(first_visit_[block + 1] - first)};
}

// Seen from a row and not from a visit: of visits of 1 and 99 rows the mean is 50, but nearly every row
// shares its visit with 98 others. Hence the squares.
double Sampling::rows_per_visit() const {
  const double rows_per_mass = static_cast<double>(pass_rows()) / static_cast<double>(mass());
  double rows = 0, squares = 0;
  for (std::uint64_t b = 0; b < n_blocks(); ++b) {
    const Stretch block = stretch(b);
    const double visits = static_cast<double>(first_visit_[b + 1] - first_visit_[b]);
    const double in_visit = static_cast<double>(block.last - block.first) * rows_per_mass / visits;
    rows += visits * in_visit;
    squares += visits * in_visit * in_visit;
  }
  return rows == 0 ? 1 : std::max(1.0, squares / rows);
}

Copies::Copies(const Sampling* sampling, std::uint64_t seed, std::uint64_t epoch)
    : sampling_(sampling),
      pass_rows_(sampling->pass_rows()),
      mass_(sampling->mass()),
      key_(mix(seed, kRowStream, epoch / sampling->epochs_per_pass())),
      offset_(static_cast<std::uint64_t>(
          (static_cast<unsigned __int128>(mix(seed, kPointStream, epoch / sampling->epochs_per_pass())) *
           mass_) >>
          64)) {}

void Copies::share_out(const Sampling::Visit& visit, std::span<OfRow> rows) const {
  using Wide = unsigned __int128;
  // From weights to what is due: see Note [One array, three meanings]. What the weights say in whole copies
  // is sure; what is left of them are chances, for which points are laid: Note [Systematic sampling].
  const Sampling::Stretch block = sampling_->stretch(visit.block);
  // `all` copies have to come out, since the tape was laid with that number. So how many there are
  // is worked out in whole numbers; chances are floating point, whose rounding may move a point to
  // the next row and no more.
  const std::uint64_t all = before(block.last) - before(block.first);
  const auto chance = [&](std::uint64_t row) { return due_of(rows[row]).chance; };
  const double mass = static_cast<double>(mass_);
  std::uint64_t sure = 0;
  Wide rest = 0;
  for (OfRow& row : rows) {
    const Wide due = static_cast<Wide>(row.first) * pass_rows_;
    const auto left = static_cast<std::uint64_t>(due % mass_);
    const auto whole = static_cast<std::uint64_t>(due / mass_);
    set_due(row, {whole, static_cast<double>(left) / mass});
    sure += whole;
    rest += left;
  }
  const auto floor = static_cast<std::uint64_t>(rest / mass_);
  const double part = static_cast<double>(static_cast<std::uint64_t>(rest % mass_)) / mass;
  // More than the rows have room for only when weights are no longer those that the block had.
  const std::uint64_t points = all > sure ? std::min<std::uint64_t>(all - sure, rows.size()) : 0;
  if (points > 0) {
    if (part > 0) adjust_chances(rows, floor, part, points > floor);
    const std::uint64_t key = mix64(key_ ^ visit.block);
    const KeyedPermutation order(rows.size(), key);
    const double offset = static_cast<double>(mix64(~key) >> 11) * 0x1p-53;  // in [0, 1)
    std::uint64_t last = 0;
    for (std::uint64_t i = 0; i < rows.size(); ++i) {
      // Rows without a weight get no copy, even where rounding has left a point over: the last row that has a
      // chance takes what is left.
      if (chance(order(i)) > 0) last = i;
    }
    // The chances are laid end to end on an axis, in an order of the block's own; points fall on it at equal
    // distances of 1, from `offset` on, and a row gets those that fall on its stretch.
    double length = 0;
    std::uint64_t fallen = 0;
    for (std::uint64_t i = 0; i <= last; ++i) {
      const std::uint64_t row = order(i);
      if (chance(row) <= 0) continue;
      length += chance(row);
      // What rounding the sum has cost ends at the last row.
      const auto now = i == last ? points : std::min(points, static_cast<std::uint64_t>(length + offset));
      rows[row].first += now - fallen;
      fallen = now;
    }
  }
  // From how many to which: copies are numbered through the block, and a visit takes its part of them.
  std::uint64_t at = 0;
  for (OfRow& row : rows) {
    const std::uint64_t next = at + row.first;
    row = {of_visit(visit.number, visit.of, at), of_visit(visit.number, visit.of, next)};
    at = next;
  }
}

}  // namespace penstock::plan
