// A column may have thousands of values and a picture has room for 96 lines, so neighbours share a line.
// Neighbours in the order in which they first appear in the files: then file order draws a diagonal from the
// top left to the bottom right, a shuffle draws an even grey, and anything between looks like it is.
//
// Example with room for 3 lines: the values F, A, B, H and C, in this order, give the lines "F ... A", "B ...
// H" and "C", of two values each but for the last.

#include "report/mixing_picture.h"

#include <algorithm>

#include "base/checked.h"

namespace penstock::report {
namespace {

constexpr std::uint32_t kNobody = 0xffffffff;

Panel panel_of(const loader::CodeCounts& counts, std::span<const std::uint32_t> line_of,
               std::size_t n_lines) {
  Panel panel;
  panel.counts.resize(counts.n_batches() * n_lines);
  for (std::size_t b = 0; b < counts.n_batches(); ++b) {
    const auto of_batch = counts.of(b);
    for (std::size_t code = 0; code < of_batch.size(); ++code) {
      if (of_batch[code] > 0) panel.counts[b * n_lines + line_of[code]] += of_batch[code];
    }
    panel.entropy.push_back(loader::entropy_bits(of_batch));
  }
  panel.mean_entropy = loader::mean_entropy(counts);
  return panel;
}

}  // namespace

Picture draw(const loader::LabelMixing& mixing) {
  Picture out;
  // A missing label is no value: a line of its own, below all values, that it shares with none. Counts of 0
  // have no line, since the code was not seen in the files; panel_of() passes them by.
  std::vector<std::uint32_t> values;
  for (const std::uint32_t code : mixing.appeared) {
    if (!mixing.is_missing(code)) values.push_back(code);
  }
  const std::size_t n = values.size();
  out.n_values = n;
  out.categories_per_line = std::max<std::uint64_t>(1, ceil_div(n, kMostLines));
  std::vector<std::uint32_t> line_of(mixing.cells.size(), kNobody);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t code = values[i];
    const std::size_t line = i / out.categories_per_line;
    if (line == out.lines.size()) {
      out.lines.push_back(mixing.name(code));
      out.line_cells.push_back(0);
    } else if (i + 1 == n || (i + 1) % out.categories_per_line == 0) {
      // The last value of a line completes its name: the first one began it.
      out.lines[line] += " \u2026 " + mixing.name(code);
    }
    line_of[code] = static_cast<std::uint32_t>(line);
    out.line_cells[line] += mixing.cells[code];
  }
  if (n < mixing.appeared.size()) {
    const std::size_t code = mixing.cells.size() - 1;
    line_of[code] = static_cast<std::uint32_t>(out.lines.size());
    out.lines.push_back(mixing.name(code));
    out.line_cells.push_back(mixing.cells[code]);
    out.missing_cells = mixing.cells[code];
  }
  out.penstock = panel_of(mixing.penstock, line_of, out.lines.size());
  out.file_order = panel_of(mixing.file_order, line_of, out.lines.size());
  out.full_shuffle = panel_of(mixing.full_shuffle, line_of, out.lines.size());
  return out;
}

}  // namespace penstock::report
