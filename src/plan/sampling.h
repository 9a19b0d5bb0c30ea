// Which rows an epoch holds and how often, where that is not every row once: weights, balance, epoch_size.
//
// Note [Systematic sampling]. Every selected row has a weight, a whole number; blocks laid end to end make an
// axis as long as their weights together, the `mass`. An epoch of T rows puts T points on it, mass / T apart,
// the first at an offset that changes from epoch to epoch: as many as fall on a block are its copies. So a
// block comes as often as its weights say to within one, and the number of rows is T exactly. The same inside
// a block: a row of weight w comes floor(T w / mass) times, and once more for those on which the points of a
// second such axis fall, of what is left of the weights: over all epochs T w / mass. (Systematic sampling:
// Madow, W. G. and L. H., 1944.) Both axes have an order of their own, and the second an offset per block:
// in file order the points' spacing could meet a pattern of the file - every fifth cell of a class - and miss
// that class.
//
// Two things keep that fast and well mixed:
//  - Passes. Where epoch_size is much smaller than the data, an epoch that took a few rows of every block
//    would read everything. Instead several epochs are the slices of one pass, whose points are placed as
//    above: an epoch reads a share of the blocks. It has a few hundred blocks at least, weighted ones
//    thousands.
//  - Visits. Where the rows of a block come many times over (a rare class, balanced), its copies in a row
//    would fill windows with a handful of cells. A block is visited several times instead, at unrelated
//    places of the tape, and of three visits, say, each takes every third copy. Cost: at most a quarter of a
//    pass more.
//
// Thread contract: immutable, pure functions. Memory: 16 bytes a block, reserved under `index` before they
// are taken.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/permutation.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::plan {

// What the weights of all rows should add up to, about: room for rounding each, and for products in 128 bits.
inline constexpr std::uint64_t kMass = std::uint64_t{1} << 62;
// The longest epoch.
inline constexpr std::uint64_t kMostEpochRows = std::uint64_t{1} << 33;

class Sampling {
 public:
  // Without any mass, which set_mass() gives to each block.
  static Result<Sampling> reserve(std::uint64_t n_blocks, std::uint64_t seed, MemoryBudget& budget);
  void set_mass(std::uint64_t block, std::uint64_t mass) { before_[axis_(block) + 1] = mass; }
  // What epochs are asked for.
  struct Ask {
    std::uint64_t epoch_size = 0;
    std::uint64_t n_rows = 0;  // selected
    bool weighted = false;     // rows differ in weight
    bool shuffle = true;       // false: a block's rows come in file order, all copies at once
  };
  // Once all blocks have theirs. An error when nothing has any weight.
  Status finish(const Ask& ask);

  std::uint64_t epoch_size() const { return epoch_size_; }
  std::uint64_t epochs_per_pass() const { return epochs_per_pass_; }
  std::uint64_t pass_rows() const { return epoch_size_ * epochs_per_pass_; }
  std::uint64_t mass() const { return before_.back(); }
  std::uint64_t n_blocks() const { return before_.size() - 1; }
  // Where a block lies on the axis.
  struct Stretch {
    std::uint64_t first = 0, last = 0;
  };
  Stretch stretch(std::uint64_t block) const {
    const std::uint64_t place = axis_(block);
    return {before_[place], before_[place + 1]};
  }
  // Visits of all blocks: places of a pass's tape.
  std::uint64_t n_visits() const { return first_visit_.back(); }
  struct Visit {
    std::uint64_t block = 0;
    std::uint32_t number = 0, of = 1;  // of the block's visits
  };
  Visit visit(std::uint64_t number) const;
  // The mean number of rows that a row of an epoch shares its visit with, itself included: what block_rows is
  // to an epoch of every row once.
  double rows_per_visit() const;
  std::uint64_t bytes() const { return held_.bytes(); }

 private:
  Sampling(std::uint64_t n_blocks, std::uint64_t key) : axis_(n_blocks, key) {}
  std::uint64_t epoch_size_ = 0, epochs_per_pass_ = 1;
  KeyedPermutation axis_;                      // of blocks
  std::vector<std::uint64_t> before_;          // mass before each place of the axis
  std::vector<std::uint64_t> first_visit_{0};  // visits before each block
  Reservation held_;
};

// Copies of one pass.
class Copies {
 public:
  Copies(const Sampling* sampling, std::uint64_t seed, std::uint64_t epoch);
  // Copies of all rows before a mass on the axis.
  std::uint64_t before(std::uint64_t mass) const {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(mass) * pass_rows_ + offset_) / mass_);
  }
  // Copies that a visit delivers.
  std::uint64_t of(const Sampling::Visit& visit) const {
    const Sampling::Stretch block = sampling_->stretch(visit.block);
    return of_visit(visit.number, visit.of, before(block.last) - before(block.first));
  }
  // Which of a visit's copies are of which row: [first, last) of them.
  struct OfRow {
    std::uint64_t first = 0, last = 0;
  };
  // `rows`: the selected rows of the visit's block; `first` of each is its weight before, a copy afterwards.
  void share_out(const Sampling::Visit& visit, std::span<OfRow> rows) const;
  // Of a block's first n copies, those that one of its visits takes.
  static std::uint64_t of_visit(std::uint32_t number, std::uint32_t of, std::uint64_t n) {
    return n <= number ? 0 : (n - number + of - 1) / of;
  }

 private:
  const Sampling* sampling_;
  std::uint64_t pass_rows_, mass_, key_, offset_;
};

}  // namespace penstock::plan
