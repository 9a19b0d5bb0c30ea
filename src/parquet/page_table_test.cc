#include "parquet/page_table.h"

#include <gtest/gtest.h>

#include "parquet/row_ends.h"

namespace penstock::parquet {
namespace {

// Ten rows: page 0 at 110 begins row 0 to 2, page 1 at 200 the rest of row 2 and rows 3 to 5, page 2 at 300
// only the middle of row 5, page 3 at 400 begins with row 6.
PageTable table() {
  PageTable out;
  out.add_group(100);
  out.add_page({110, 0, true});
  out.add_page({200, 3, false});
  out.add_page({300, 6, false});
  out.add_page({400, 6, true});
  out.end_group(500);
  out.finish();
  return out;
}

void expect_span(std::uint64_t first, std::uint64_t last, ByteOffset begin, ByteOffset end,
                 std::uint32_t row) {
  const PageSpan span = table().span(0, first, last, 10);
  EXPECT_EQ(span.begin, begin) << first << " to " << last;
  EXPECT_EQ(span.end, end) << first << " to " << last;
  EXPECT_EQ(span.first, row) << first << " to " << last;
  // The dictionary comes with the first page, else by itself.
  EXPECT_EQ(span.dictionary_end - span.dictionary, begin == 100 ? 0U : 10U);
}

TEST(PageTable, SpansHoldTheirRows) {
  expect_span(0, 10, 100, 500, 0);
  expect_span(0, 2, 100, 200, 0);
  expect_span(0, 3, 100, 300, 0);  // row 2 goes on in page 1
  expect_span(3, 5, 200, 300, 3);
  expect_span(5, 6, 200, 400, 3);  // row 5 goes on over page 2, and page 3 begins with row 6
  expect_span(6, 10, 400, 500, 6);
}

TEST(PageTable, NearestBeginningOfAPage) {
  EXPECT_EQ(table().nearest(0, 1, 10), 0U);
  EXPECT_EQ(table().nearest(0, 2, 10), 3U);
  EXPECT_EQ(table().nearest(0, 5, 10), 6U);
  EXPECT_EQ(table().nearest(0, 9, 10), 10U);
}

TEST(RowEnds, HoldsWhereRowsEnd) {
  RowEnds ends;
  std::vector<std::uint64_t> expected;
  std::uint64_t at = 0;
  for (RowIndex row = 0; row < 5000; ++row) {
    at += row % 7 == 0 ? 0 : row * 1000;
    ASSERT_TRUE(ends.add(at));
    expected.push_back(at);
  }
  for (RowIndex row = 0; row < 5000; ++row) {
    ASSERT_EQ(ends.end(row), expected[row]);
    ASSERT_EQ(ends.begin(row), row == 0 ? 0 : expected[row - 1]);
    if (ends.begin(row) < ends.end(row)) {
      ASSERT_EQ(ends.row_of(ends.begin(row)), row);
      ASSERT_EQ(ends.row_of(ends.end(row) - 1), row);
    }
  }
  EXPECT_FALSE(ends.add(at + (std::uint64_t{1} << 33)));
}

}  // namespace
}  // namespace penstock::parquet
