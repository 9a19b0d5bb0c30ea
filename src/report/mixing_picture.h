// The picture of how labels are spread over batches: setup/label_mixing.h's counts as panels of lines and
// batches.
//
// Thread contract: pure function. Memory: batches x lines counts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "setup/label_mixing.h"

namespace penstock::report {

inline constexpr std::uint64_t kMostBatches = 64;
inline constexpr std::uint64_t kMostLines = 96;

// Batches of one order. counts[batch * lines + line] cells.
struct Panel {
  std::vector<std::uint32_t> counts;
  std::vector<double> entropy;  // bits, per batch, over all categories
  double mean_entropy = 0;
};

struct Picture {
  // In the order in which categories first appear in the files. More than kMostLines categories share lines,
  // `categories_per_line` neighbours each. Cells whose label is missing have the last line, "(missing)".
  std::vector<std::string> lines;
  std::vector<std::uint64_t> line_cells;
  std::uint64_t categories_per_line = 1;
  std::uint64_t n_values = 0;       // that have cells
  std::uint64_t missing_cells = 0;  // without one
  Panel penstock, file_order, full_shuffle;
};

Picture draw(const loader::LabelMixing& mixing);

}  // namespace penstock::report
