// A small look at the payload before planning: how compact rows come out and how fast they decode.
//
// Always the same blocks of the same files (at most 8 files spread over the set, two runs of 64 rows in
// each), so that what follows from the sample depends on the data alone; the output type counts only where
// its values are wider than the file's own (float64 out of float32 that are not counts). Damaged rows are
// left out; a read that fails is an error, never a smaller sample. Temporary memory is reserved under
// `scratch` and given back.
#pragma once

#include <span>

#include "base/types.h"
#include "dataset/dataset_impl.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "setup/weights.h"

namespace penstock::loader {

struct Sample {
  double value_bytes = 1;      // of a value in the window, mean over entries
  double seconds_per_row = 0;  // to decode and encode on one thread; read excluded
  double decoded_per_row = 0;  // bytes that this took
  std::uint64_t rows = 0, entries = 0;
  // Share of the stored entries whose columns are wanted; of a dense matrix, of those that are not zero.
  double kept = 1;
  // Where zeros were left out: the variance of the lengths of rows, which storage says nothing of; else 0.
  double variance = 0;
};
Result<Sample> take_sample(std::span<const internal::FilePart> parts, ColIndex n_cols, NumericType output,
                           MemoryBudget& budget);

// How long rows are that come as often as they weigh; errors as above.
struct DrawnLengths {
  double mean = 0, variance = 0;  // of entries as delivered; mean 0: nothing was seen
  double rows = 0;                // that were seen: fewer than drawn where some are damaged, or dear
};
Result<DrawnLengths> measure_drawn(std::span<const internal::FilePart> parts,
                                   std::span<const RowWeights::Drawn> rows, MemoryBudget& budget);

}  // namespace penstock::loader
