#include "parquet/element_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <optional>

#include "base/load.h"
#include "parquet/testing/pages.h"

namespace penstock::parquet {
namespace {

using ::testing::HasSubstr;
using testing::list_page;
using testing::OneColumn;

// A window over one column of int64 in memory, with room for so many elements.
class Opened {
 public:
  Opened(const OneColumn& column, std::uint64_t elements, std::uint64_t rows_of_a_page = 8)
      : column_(column),
        file_(column.file()),
        elements_(elements * 8),
        starts_(2 * rows_of_a_page + 2),
        scratch_(ValueTarget::scratch(NumericType::i64, 0) + 64),
        target_(NumericType::i64, PhysicalType::int64, false, true, 0, scratch_.data()),
        window_(column_.leaf(),
                {Compression::none, column_.leaf().max_def, column_.leaf().max_rep, {&name_, &name_, 0}},
                PhysicalType::int64, &target_, {{}, elements_, starts_}, &codec_) {
    list_.add(&file_, 0, column_.bytes.size());
    fetched_.emplace(list_.requests(), column_.bytes.data());
  }
  Status open() {
    const PageSpan all{0, 0, 4, column_.bytes.size(), 0};
    return window_.open(all, &file_, *fetched_, false);
  }
  ElementWindow& window() { return window_; }
  std::int64_t value(std::uint64_t at) { return load<std::int64_t>(window_.at(at)); }
  // Decodes until position `end` is there, dropping nothing before `keep`.
  Status until(std::uint64_t end, std::uint64_t keep) {
    bool widen = false;
    while (window_.end() < end && !window_.exhausted()) {
      PENSTOCK_RETURN_IF_ERROR(window_.more(keep, &widen));
    }
    return {};
  }

 private:
  const OneColumn& column_;
  const std::string name_ = "a.parquet";
  const penstock::testing::MemoryFile file_;
  std::vector<std::byte> elements_;
  std::vector<std::uint32_t> starts_;
  std::vector<std::byte> scratch_;
  ValueTarget target_;
  CodecContext codec_;
  ElementWindow window_;
  RequestList list_;
  std::optional<Fetched> fetched_;
};

testing::Bytes flat_page(std::int64_t first, std::int64_t n) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), first);
  testing::Bytes body;
  testing::plain(body, values);
  return testing::data_page(values.size(), Encoding::plain, body);
}

TEST(ElementWindow, SlidesOverTheElementsOfSeveralPages) {
  OneColumn column(false);
  for (std::int64_t p = 0; p < 3; ++p) column.add(flat_page(p * 10'000, 10'000), 10'000, 10'000);
  Opened opened(column, kSlice + 100);
  ASSERT_TRUE(opened.open().ok());
  ASSERT_TRUE(opened.window().seek(0).ok());
  for (std::uint64_t at = 0; at < 30'000; at += 50) {
    ASSERT_TRUE(opened.until(at + 50, at).ok());
    ASSERT_GE(opened.window().end(), at + 50);
    for (std::uint64_t i = at; i < at + 50; ++i) ASSERT_EQ(opened.value(i), static_cast<std::int64_t>(i));
  }
  ASSERT_TRUE(opened.until(30'001, 30'000).ok());
  EXPECT_TRUE(opened.window().exhausted());
}

TEST(ElementWindow, PositionsCountFromWhereItWasSent) {
  OneColumn column(false);
  column.add(flat_page(0, 100), 100, 100).add(flat_page(100, 100), 100, 100);
  Opened opened(column, kSlice + 10);
  ASSERT_TRUE(opened.open().ok());
  for (const std::uint64_t row : {7u, 99u, 100u, 150u}) {
    ASSERT_TRUE(opened.window().seek(row).ok());
    ASSERT_TRUE(opened.until(1, 0).ok());
    EXPECT_EQ(opened.value(0), static_cast<std::int64_t>(row));
  }
  const Status behind = opened.window().seek(200);
  EXPECT_EQ(behind.code(), StatusCode::corrupt);
  EXPECT_THAT(behind.message(), HasSubstr("the pages end before row 200"));
}

TEST(ElementWindow, RowsOfLists) {
  OneColumn column(true);
  column.add(list_page({{1, 2, 3}, {}, {4}}), 5, 3);
  column.add(list_page({{5, 6}, {7, 8}}, true), 4, 1);  // the third row goes on, then a fourth
  Opened opened(column, kSlice + 10);
  ElementWindow& window = opened.window();
  ASSERT_TRUE(opened.open().ok());
  ASSERT_TRUE(window.seek(0).ok());
  ASSERT_TRUE(opened.until(100, 0).ok());
  ASSERT_EQ(window.rows_known(), 4u);
  EXPECT_EQ(window.start(0), 0u);
  EXPECT_EQ(window.start(1), 3u);
  EXPECT_EQ(window.start(2), 3u) << "the second row is empty";
  EXPECT_EQ(window.start(3), 6u);
  EXPECT_EQ(window.total(), 8u);
  for (std::uint64_t i = 0; i < 8; ++i) EXPECT_EQ(opened.value(i), static_cast<std::int64_t>(i + 1));
  window.drop_rows(2);
  EXPECT_EQ(window.rows_known(), 2u);
  EXPECT_EQ(window.start(0), 3u);
}

TEST(ElementWindow, SeeksToARowOfALaterPage) {
  OneColumn column(true);
  column.add(list_page({{1}, {2, 3}}), 3, 2).add(list_page({{4, 5}, {6}}), 3, 2);
  Opened opened(column, kSlice + 10);
  ASSERT_TRUE(opened.open().ok());
  ASSERT_TRUE(opened.window().seek(3).ok());
  ASSERT_TRUE(opened.until(1, 0).ok());
  EXPECT_EQ(opened.value(0), 6);
}

TEST(ElementWindow, ARowLongerThanAnyMayBeIsCorrupt) {
  OneColumn column(false);
  column.add(flat_page(0, 3 * static_cast<std::int64_t>(kSlice)), 3 * kSlice, 3 * kSlice);
  Opened opened(column, kSlice + 10);
  ASSERT_TRUE(opened.open().ok());
  ASSERT_TRUE(opened.window().seek(0).ok());
  const Status status = opened.until(3 * kSlice, 0);  // nothing may be dropped
  EXPECT_EQ(status.code(), StatusCode::corrupt);
  EXPECT_THAT(status.message(), HasSubstr("a row of more than 10 entries"));
}

TEST(ElementWindow, BytesThatWereNotFetchedAreAnError) {
  OneColumn column(false);
  column.add(flat_page(0, 10), 10, 10);
  Opened opened(column, kSlice);
  const auto other = column.file();
  RequestList none;
  const Fetched nothing(none.requests(), nullptr);
  EXPECT_EQ(opened.window().open({0, 0, 4, column.bytes.size(), 0}, &other, nothing, false).code(),
            StatusCode::internal);
}

}  // namespace
}  // namespace penstock::parquet
