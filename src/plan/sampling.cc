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

// Streams of mix(): the order of blocks on the line, that of rows in blocks, and the points' offset.
constexpr std::uint64_t kLineStream = 0x6d61737365, kRowStream = 0x726f777320, kPointStream = 0x706f696e7473;
// Blocks of an epoch that is one of several in a pass. Where rows are weighted their classes should come as
// often as they weigh: with so many blocks the shares of a hundred classes that each lie in a row differ by 8
// %.
constexpr std::uint64_t kLeastBlocks = 256, kLeastWeightedBlocks = 16'384;
// Copies that a visit takes, at most about, in rows of an average block.
constexpr std::uint64_t kRowsPerVisit = 4;

}  // namespace

Result<Sampling> Sampling::reserve(std::uint64_t n_blocks, std::uint64_t seed, MemoryBudget& budget) {
  Sampling out(n_blocks, mix(seed, kLineStream, 0));
  PENSTOCK_ASSIGN_OR_RETURN(out.held_, reserve_for("weights of blocks", budget, MemoryTag::index,
                                                   2 * (n_blocks + 1) * sizeof(std::uint64_t)));
  out.before_.assign(n_blocks + 1, 0);
  out.first_visit_.reserve(n_blocks + 1);
  return out;
}

Status Sampling::finish(const Ask& ask) {
  for (std::size_t i = 1; i < before_.size(); ++i) before_[i] += before_[i - 1];
  PENSTOCK_CHECK(mass() < kMass * 2 && ask.epoch_size <= kMostEpochRows);
  if (mass() == 0) return Status::invalid_argument("weights: no selected row has a weight above 0");
  epoch_size_ = ask.epoch_size;
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
  if (n_visits() != n_blocks()) {
    const auto after = std::upper_bound(first_visit_.begin(), first_visit_.end(), number);
    block = static_cast<std::uint64_t>(after - first_visit_.begin()) - 1;
  }
  const std::uint64_t first = first_visit_[block];
  return {block, static_cast<std::uint32_t>(number - first),
          static_cast<std::uint32_t>(first_visit_[block + 1] - first)};
}

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
  const Sampling::Stretch block = sampling_->stretch(visit.block);
  const std::uint64_t all = before(block.last) - before(block.first);
  // What is sure to come, and what is left of each weight, in 2^-30 of a copy or less: sums stay in 64 bits.
  const int shift = std::max(0, static_cast<int>(std::bit_width(mass_)) - 31);
  std::uint64_t sure = 0, rest = 0;
  for (OfRow& row : rows) {
    const Wide due = static_cast<Wide>(row.first) * pass_rows_;
    const auto left = static_cast<std::uint64_t>(due % mass_);
    row = {static_cast<std::uint64_t>(due / mass_),
           left == 0 ? 0 : std::max<std::uint64_t>(1, left >> shift)};
    sure += row.first;
    rest += row.last;
  }
  // More than the rows have room for only when weights are no longer those that the block had.
  std::uint64_t points = all > sure ? std::min<std::uint64_t>(all - sure, rows.size()) : 0;
  // A block may have one copy more than is its due: a row whose rest is longer than the points are apart then
  // has one for certain, and no more.
  for (bool again = true; again && points > 0;) {
    again = false;
    for (OfRow& row : rows) {
      if (points == 0 || static_cast<Wide>(row.last) * points <= rest) continue;
      ++row.first;
      rest -= row.last;
      row.last = 0;
      --points;
      again = true;
    }
  }
  if (points > 0 && rest > 0) {
    const std::uint64_t key = mix64(key_ ^ visit.block);
    const KeyedPermutation order(rows.size(), key);
    const auto offset = static_cast<std::uint64_t>((static_cast<Wide>(mix64(~key)) * rest) >> 64);
    std::uint64_t length = 0, fallen = 0;
    for (std::uint64_t i = 0; i < rows.size(); ++i) {
      OfRow& row = rows[order(i)];
      if (row.last == 0) continue;
      length += row.last;
      const auto now = static_cast<std::uint64_t>((static_cast<Wide>(length) * points + offset) / rest);
      row.first += now - fallen;
      fallen = now;
    }
  }
  std::uint64_t at = 0;
  for (OfRow& row : rows) {
    const std::uint64_t next = at + row.first;
    row = {of_visit(visit.number, visit.of, at), of_visit(visit.number, visit.of, next)};
    at = next;
  }
}

}  // namespace penstock::plan
