// How labels are spread over batches: in Penstock's order, in file order and in a full shuffle, side by side.
//
// The order of an epoch is a pure function of the plan, so the batches are worked out from the plan and the
// label codes alone; X is not read. One pass over the label column, whatever its size.
//
// Thread contract: pure function. Memory: at most kMostRows looked-up rows (16 bytes each), 64 K codes at a
// time, and batches x lines counts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataset/dataset_impl.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::report {

inline constexpr std::uint64_t kMostBatches = 64;
inline constexpr std::uint64_t kMostLines = 96;
inline constexpr std::uint64_t kMostRows = 1 << 20;

// The order to look at: the epoch of one rank.
struct Order {
  std::uint64_t seed = 0, epoch = 0;
  bool shuffle = true;
  std::uint64_t batch_size = 1, block_rows = 1, window_rows = 1;
  std::uint32_t rank = 0, world_size = 1;
  bool drop_last = false;
  bool exact_blocks = false;  // block_rows was given, not planned
};

// Batches of one order. counts[batch * lines + line] cells.
struct Panel {
  std::vector<std::uint32_t> counts;
  std::vector<double> entropy;  // bits, per batch, over all categories
  double mean_entropy = 0;
};

struct Mixing {
  std::string label;
  std::uint64_t n_categories = 0;  // with at least one selected cell; a missing label counts as one
  // Lines of the picture, in the order in which categories first appear in the files. More than kMostLines
  // categories share lines, `categories_per_line` neighbours each.
  std::vector<std::string> lines;
  std::vector<std::uint64_t> line_cells;
  std::uint64_t categories_per_line = 1;
  std::vector<std::uint64_t> batches;  // their numbers, at most kMostBatches, spread over the epoch
  std::uint64_t row_step = 1;          // every so many rows of a batch were looked at
  double entropy = 0;                  // of all selected cells, bits
  Panel penstock, file_order, full_shuffle;
};

// `given`: the categories that the loader was given for the column, or nullptr. Errors: not_found,
// invalid_argument for a column of numbers, and what reading the column can give.
Result<Mixing> measure_mixing(const internal::DatasetImpl& data, const std::string& label,
                              const std::vector<std::string>* given, const Order& order,
                              const std::shared_ptr<MemoryBudget>& budget);

}  // namespace penstock::report
