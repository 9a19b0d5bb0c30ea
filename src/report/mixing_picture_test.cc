// Categories become lines of the picture.
#include "report/mixing_picture.h"

#include <gtest/gtest.h>

#include <cmath>

namespace penstock::report {
namespace {

// 200 categories and a missing label; those with an even number have cells, the last of them first.
loader::LabelMixing many() {
  loader::LabelMixing m;
  m.batches = {0, 7};
  m.penstock = m.file_order = m.full_shuffle = loader::CodeCounts(2, 201);
  m.cells.resize(201);
  for (std::uint32_t code = 0; code < 200; ++code) m.categories.push_back("c" + std::to_string(code));
  for (std::uint32_t i = 0; i < 101; ++i) {
    const std::uint32_t code = 200 - 2 * i;
    m.appeared.push_back(code);
    m.cells[code] = 10 + i;
    m.penstock.add(i % 2, code);
  }
  m.file_order.add(1, 4);
  return m;
}

TEST(Picture, NeighboursShareALineWhenThereAreMany) {
  const Picture p = draw(many());
  EXPECT_EQ(p.categories_per_line, 2u);
  EXPECT_EQ(p.n_values, 100u) << "a missing label is no value";
  EXPECT_EQ(p.missing_cells, 10u);
  ASSERT_EQ(p.lines.size(), 51u);
  EXPECT_EQ(p.lines[0], "c198 \u2026 c196");
  EXPECT_EQ(p.lines[49], "c2 \u2026 c0");
  EXPECT_EQ(p.lines[50], "(missing)") << "a line of its own, the last";
  EXPECT_EQ(p.line_cells[0], 23u);
  EXPECT_EQ(p.line_cells[50], 10u);
  ASSERT_EQ(p.penstock.counts.size(), 102u);
  EXPECT_EQ(p.penstock.counts[50], 1u);  // batch 0: the missing label
  EXPECT_EQ(p.penstock.counts[51], 1u);  // batch 1: c198
  EXPECT_EQ(p.file_order.counts[51 + 48], 1u) << "c4 shares a line with c6";
}

TEST(Picture, EntropyIsOverCategoriesNotLines) {
  const Picture p = draw(many());
  ASSERT_EQ(p.penstock.entropy.size(), 2u);
  EXPECT_NEAR(p.penstock.entropy[1], std::log2(50), 1e-9);
  EXPECT_NEAR(p.penstock.mean_entropy, (std::log2(51) + std::log2(50)) / 2, 1e-9);
}

}  // namespace
}  // namespace penstock::report
