#include "parquet/pandas_index.h"

#include <gtest/gtest.h>

namespace penstock::parquet {
namespace {

PandasIndex index_of(const std::string& json, std::uint64_t n_rows) {
  FileMetadata metadata;
  metadata.n_rows = n_rows;
  metadata.key_value["pandas"] = json;
  return pandas_index(metadata);
}

std::string range(const std::string& start, const std::string& stop, const std::string& step) {
  return R"({"index_columns": [{"kind": "range", "name": null, "start": )" + start + R"(, "stop": )" + stop +
         R"(, "step": )" + step + R"(}], "columns": [{"name": "index_columns"}]})";
}

TEST(PandasIndexTest, NamesTheColumnsOfEveryLevel) {
  const PandasIndex one = index_of(R"({"columns": [{"a": []}], "index_columns": ["cell"]})", 3);
  EXPECT_EQ(one.columns, std::vector<std::string>{"cell"});
  EXPECT_TRUE(one.holds("cell"));
  EXPECT_FALSE(one.holds("index_columns"));
  const PandasIndex two = index_of(R"({"index_columns": ["a", "b"], "columns": []})", 3);
  EXPECT_EQ(two.columns, (std::vector<std::string>{"a", "b"}));
}

TEST(PandasIndexTest, RangesNumberTheRowsWhenTheyFit) {
  const auto numbers = [](const PandasIndex& index) { return std::pair(index.start, index.step); };
  using Pair = std::pair<std::int64_t, std::int64_t>;
  EXPECT_EQ(numbers(index_of(range("10", "15", "2"), 3)), Pair(10, 2));
  EXPECT_EQ(numbers(index_of(range("10", "16", "2"), 3)), Pair(10, 2));
  EXPECT_EQ(numbers(index_of(range("5", "-1", "-2"), 3)), Pair(5, -2));
  // Of another length: what was left of a longer table.
  EXPECT_EQ(numbers(index_of(range("10", "17", "2"), 3)), Pair(0, 1));
  EXPECT_EQ(numbers(index_of(range("0", "3", "0"), 3)), Pair(0, 1));
  EXPECT_EQ(numbers(index_of(range("0", "\"3\"", "1"), 3)), Pair(0, 1));
  // As far apart as can be: no difference of them fits into int64.
  const std::string least = "-9223372036854775808", most = "9223372036854775807";
  EXPECT_EQ(numbers(index_of(range(least, most, most), 3)), Pair(INT64_MIN, INT64_MAX));
  EXPECT_EQ(numbers(index_of(range(most, least, least), 2)), Pair(INT64_MAX, INT64_MIN));
}

TEST(PandasIndexTest, WhatIsNoDescriptionSaysNothing) {
  for (const char* json : {"", "{", "[]", "7", R"({"index_columns": 7})", R"({"index_columns": [7, null]})",
                           R"({"columns": {"index_columns": ["a"]}})", R"({"index_columns": []})"}) {
    const PandasIndex index = index_of(json, 3);
    EXPECT_TRUE(index.columns.empty()) << json;
    EXPECT_EQ(index.start, 0) << json;
    EXPECT_EQ(index.step, 1) << json;
  }
  EXPECT_TRUE(pandas_index(FileMetadata()).columns.empty());
}

}  // namespace
}  // namespace penstock::parquet
