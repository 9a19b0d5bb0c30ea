// Labels of an epoch's batches: in the loader's order, in file order and in a full shuffle, side by side.
//
// The order of an epoch is a pure function of the plan, so the rows of a batch are worked out from the same
// windows, tape and permutations that the engine uses, and their labels are looked up; X is not read. One
// pass over the blocks and one over the label column, whatever its size.
//
// Thread contract: pure functions of an immutable EngineConfig. Memory: reserved under `obs` of the budget
// given before it is taken: 24 bytes for each row looked at, up to kMostRows of them, 65,536 codes at a time,
// and three counts for each batch looked at and category.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "penstock/mixing.h"
#include "penstock/status.h"
#include "setup/config.h"

namespace penstock::loader {

inline constexpr std::uint64_t kMostRows = 1 << 20;

// Cells of each code in each batch looked at.
class CodeCounts {
 public:
  CodeCounts() = default;
  CodeCounts(std::size_t n_batches, std::uint64_t n_codes)
      : n_batches_(n_batches), n_codes_(n_codes), counts_(n_batches * n_codes) {}
  void add(std::size_t batch, std::uint32_t code) { ++counts_[batch * n_codes_ + code]; }
  std::size_t n_batches() const { return n_batches_; }
  std::span<const std::uint32_t> of(std::size_t batch) const {
    return std::span(counts_).subspan(batch * n_codes_, n_codes_);
  }

 private:
  std::size_t n_batches_ = 0;
  std::uint64_t n_codes_ = 0;
  std::vector<std::uint32_t> counts_;
};

struct LabelMixing {
  std::string label;
  std::uint64_t epoch = 0, n_batches = 0;  // without the row that evens out ranks
  std::vector<std::uint64_t> batches;      // looked at: their numbers, spread over the epoch
  std::vector<bool> mixed_less;            // parallel: see plan::BatchWorth::less()
  std::uint64_t batch_size = 0;
  std::uint64_t row_step = 1;           // every so many rows of a batch were looked at
  std::vector<std::uint64_t> cells;     // selected, by code; the last code is that of a missing label
  std::vector<std::uint32_t> appeared;  // codes that have cells, in the order of their first one
  std::vector<std::string> categories;  // of a column that is not boolean
  bool boolean = false;
  CodeCounts penstock, file_order, full_shuffle;
  Reservation held;

  bool is_missing(std::uint64_t code) const { return code + 1 == cells.size(); }
  std::string name(std::uint64_t code) const;
};

// `part` is of an epoch of `config`; its window lines may be those of a resumed epoch. Errors: not_found,
// invalid_argument for a column of numbers, budget, and what reading the column can give.
Result<LabelMixing> work_out_mixing(const EngineConfig& config, const plan::EpochPart& part,
                                    const internal::DatasetImpl& data, const std::string& label,
                                    std::uint64_t most_batches, MemoryBudget& budget);
// What that needs of the config of a loader that was closed: its rows and blocks as they were.
Result<EngineConfig> rows_again(const EngineConfig& closed, const internal::DatasetImpl& data,
                                MemoryBudget& budget);

// Bits.
double entropy_bits(std::span<const std::uint32_t> counts);
double entropy_bits(std::span<const std::uint64_t> counts);
double mean_entropy(const CodeCounts& counts);
// See Mixing.
Mixing summary(const LabelMixing& mixing);

}  // namespace penstock::loader
