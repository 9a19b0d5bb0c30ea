#include "report/mixing.h"

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
  const std::size_t n = mixing.appeared.size();
  out.categories_per_line = std::max<std::uint64_t>(1, ceil_div(n, kMostLines));
  std::vector<std::uint32_t> line_of(mixing.cells.size(), kNobody);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t code = mixing.appeared[i];
    const std::size_t line = i / out.categories_per_line;
    if (line == out.lines.size()) {
      out.lines.push_back(mixing.name(code));
      out.line_cells.push_back(0);
    } else if (i + 1 == n || (i + 1) % out.categories_per_line == 0) {
      out.lines[line] += " \u2026 " + mixing.name(code);
    }
    line_of[code] = static_cast<std::uint32_t>(line);
    out.line_cells[line] += mixing.cells[code];
  }
  out.penstock = panel_of(mixing.penstock, line_of, out.lines.size());
  out.file_order = panel_of(mixing.file_order, line_of, out.lines.size());
  out.full_shuffle = panel_of(mixing.full_shuffle, line_of, out.lines.size());
  return out;
}

}  // namespace penstock::report
