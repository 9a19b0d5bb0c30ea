#include "parquet/page_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parquet/testing/pages.h"

namespace penstock::parquet {
namespace {

using testing::dictionary_page;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::list_page;
using testing::OneColumn;

struct Seen {
  PageType type;
  ByteOffset offset;
  std::uint64_t rows, before;
  std::vector<std::uint32_t> starts;
};
struct Walk {
  Status status;
  ByteOffset end = 0;
  PageLimits limits;
  std::vector<Seen> pages;
};

Walk walk(const OneColumn& column, std::uint64_t budget = 1 << 20) {
  const auto file = column.file();
  const auto memory = MemoryBudget::create(budget);
  Walk out;
  {
    PageWalker walker(file, *memory);
    const auto end = walker.walk(column.metadata, 0, 0, &out.limits, [&](const WalkedPage& page) -> Status {
      out.pages.push_back({page.header.type,
                           page.offset,
                           page.list.rows,
                           page.list.elements_before,
                           {page.starts.begin(), page.starts.end()}});
      return {};
    });
    out.status = end.status();
    if (end.ok()) out.end = *end;
  }
  EXPECT_EQ(memory->usage().used, 0u);
  return out;
}

TEST(PageWalk, ListsTellWhereRowsBegin) {
  OneColumn column(true);
  const auto first = list_page({{1, 2, 3}, {}, {4}});
  column.add(first, 5, 3);
  column.add(list_page({{5, 6}, {7}}, true), 3, 1);  // goes on with the third row, then one of its own
  const Walk seen = walk(column);
  ASSERT_TRUE(seen.status.ok()) << seen.status.to_string();
  EXPECT_EQ(seen.end, column.bytes.size());
  ASSERT_EQ(seen.pages.size(), 2u);
  EXPECT_EQ(seen.pages[0].offset, 4u);
  EXPECT_EQ(seen.pages[0].rows, 3u);
  EXPECT_THAT(seen.pages[0].starts, ElementsAre(0, 3, 3));
  EXPECT_EQ(seen.pages[1].offset, 4 + first.size());
  EXPECT_EQ(seen.pages[1].before, 2u);
  EXPECT_THAT(seen.pages[1].starts, ElementsAre(2));
  EXPECT_EQ(seen.limits.positions, 3u);
}

TEST(PageWalk, FlatColumnsAndDictionaries) {
  OneColumn column(false);
  column.add(dictionary_page<std::int64_t>({10, 20, 30}), 0, 0);
  testing::Bytes body;
  testing::put(body, 2);  // bits of an index
  testing::packed_run(body, {0, 1, 2, 1}, 2);
  column.add(testing::data_page(4, Encoding::rle_dictionary, body), 4, 4);
  const Walk seen = walk(column);
  ASSERT_TRUE(seen.status.ok()) << seen.status.to_string();
  ASSERT_EQ(seen.pages.size(), 2u);
  EXPECT_EQ(seen.pages[0].type, PageType::dictionary);
  EXPECT_EQ(seen.limits.dictionary, 3u);
  EXPECT_EQ(seen.limits.page, 0u) << "uncompressed pages need no scratch";
}

TEST(PageWalk, PagesAndFooterHaveToAgree) {
  const auto damaged = [](auto&& change) {
    OneColumn column(true);
    column.add(list_page({{1, 2}, {3}}), 3, 2);
    change(column);
    const Walk seen = walk(column);
    EXPECT_EQ(seen.status.code(), StatusCode::corrupt);
    return seen.status.message();
  };
  EXPECT_THAT(damaged([](OneColumn& c) { c.chunk().n_values = 2; }), HasSubstr("the footer says 2"));
  EXPECT_THAT(damaged([](OneColumn& c) { c.chunk().n_values = 4; }), HasSubstr("ends after 3 of 4 values"));
  EXPECT_THAT(damaged([](OneColumn& c) { c.metadata.row_groups[0].n_rows = 3; }),
              HasSubstr("2 rows in its pages, 3 in the footer"));
  EXPECT_THAT(damaged([](OneColumn& c) { c.metadata.row_groups[0].n_rows = 1; }), HasSubstr("levels"));
  EXPECT_THAT(damaged([](OneColumn& c) { c.bytes.resize(c.bytes.size() - 1); }), HasSubstr("are left"));
}

TEST(PageWalk, AChunkBeginsWithARow) {
  OneColumn column(true);
  column.add(list_page({{1, 2}, {3}}, true), 3, 1);
  const Walk seen = walk(column);
  EXPECT_EQ(seen.status.code(), StatusCode::corrupt);
  EXPECT_THAT(seen.status.message(), HasSubstr("first repetition level"));
}

TEST(PageWalk, ItsBuffersAreReserved) {
  OneColumn column(true);
  column.add(list_page({{1, 2}, {3}}), 3, 2);
  EXPECT_EQ(walk(column, 64).status.code(), StatusCode::budget);
}

}  // namespace
}  // namespace penstock::parquet
