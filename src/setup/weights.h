// The weight of each row, where rows are not delivered just once: balanced classes, weights of the user's, an
// epoch of another length. Weights are scaled to whole numbers that add up to about plan::kMass, so that
// every machine and rank places the same copies (plan/sampling.h).
//
//   weight(row) = given weight of the row                                      without `balance`
//   weight(row) = given weight / sum of the given weights of the row's class   with it: classes weigh the
//   same
//
// Thread contract: immutable once built. Memory: 64 bytes a class, reserved under `obs`; the columns are
// those of Labels, arrays that are given are the caller's options' (and reserved here).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "penstock/memory_budget.h"
#include "penstock/options.h"
#include "penstock/status.h"
#include "plan/blocks.h"
#include "plan/sampling.h"
#include "setup/row_labels.h"

namespace penstock::loader {

// Whether the options ask for anything but every row once.
bool is_sampled(const LoaderOptions& options);
// The obs columns that weights follow from and that do not travel with the rows as they are.
std::vector<std::string> hidden_columns(const LoaderOptions& options);

// All obs columns of a loader: those that travel with the rows, and behind them the hidden ones.
Result<std::vector<internal::LabelColumn>> label_columns(const internal::DatasetImpl& data,
                                                         const LoaderOptions& options);

class RowWeights {
 public:
  RowWeights() = default;
  // One pass over the columns that weights follow from. `labels` has them, and outlives this only as long as
  // its Views are read from. Errors: invalid_argument (a weight that is negative or no number, with its row;
  // a missing class; a column of the wrong kind; an array of the wrong length), not_found (a weight for a
  // category that does not exist).
  static Result<RowWeights> build(const LoaderOptions& options, const RowLabels& labels,
                                  std::span<const internal::FilePart> parts, MemoryBudget& budget);

  // Gives its memory back and takes none: a loader that the system refuses memory is closed, too. Nothing
  // else may be asked from then on.
  void release() {
    decltype(class_numbers_)().swap(class_numbers_);
    decltype(by_category_)().swap(by_category_);
    decltype(scale_)().swap(scale_);
    decltype(first_position_)().swap(first_position_);
    array_.reset();
    labels_.reset();
    held_.release();
  }

  // Weights differ from row to row.
  bool weighted() const { return class_column_ || labels_ || given_column_ || array_; }
  ByteCount held_bytes() const { return held_.bytes(); }
  // An upper bound of how often a row comes in an epoch of so many rows.
  std::uint64_t most_copies(std::uint64_t epoch_rows) const;

  // The weight of a selected row. `position`: the number of selected rows before it, over all files.
  std::uint64_t of(const RowLabels::View& labels, RowIndex row, std::uint64_t position) const;
  // Selected rows of the files before it and of the file before the row: the position of the first selected
  // row from there on.
  std::uint64_t position(std::uint32_t file, RowIndex row, const internal::FilePart& part) const;

  // `n` rows as an epoch has them: as many points on the line of all weights, in file order. One pass over
  // the columns.
  struct Drawn {
    std::uint32_t file = 0;
    RowIndex row = 0;
  };
  Result<std::vector<Drawn>> draw(std::uint64_t n, const RowLabels& labels,
                                  std::span<const internal::FilePart> parts, MemoryBudget& budget) const;
  // The weights of all rows by block, and the number of different rows that an epoch is expected to hold.
  struct Summed {
    plan::Sampling sampling;
    double distinct = 0;
    std::uint64_t digest = 0;  // of the weight of each row, where rows differ
  };
  Result<Summed> sum(const LoaderOptions& options, const plan::BlockTable& blocks, const RowLabels& labels,
                     std::uint64_t epoch_size, std::span<const internal::FilePart> parts,
                     MemoryBudget& budget) const;

 private:
  double given(const RowLabels::View& labels, RowIndex row, std::uint64_t position) const;
  std::uint32_t class_of(const RowLabels::View& labels, RowIndex row, std::uint64_t position) const;

  std::optional<std::size_t> class_column_, given_column_;
  ObsKind class_kind_ = ObsKind::category, given_kind_ = ObsKind::category;
  std::unordered_map<std::int64_t, std::uint32_t> class_numbers_;  // of a column of integers
  std::vector<double> by_category_;                                // given for categories; [code + 1]
  std::shared_ptr<const std::vector<double>> array_;
  std::shared_ptr<const std::vector<std::int32_t>> labels_;
  std::vector<double> scale_{1};               // by class; a class without any weight has 0
  double largest_ = 1, sum_ = 1;               // scaled weight, and the sum of all
  std::vector<std::uint64_t> first_position_;  // by file
  Reservation held_;
};

}  // namespace penstock::loader
