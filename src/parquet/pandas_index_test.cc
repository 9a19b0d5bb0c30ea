#include "parquet/pandas_index.h"

#include <gtest/gtest.h>

namespace penstock::parquet {
namespace {

PandasIndex index_of(const std::string& json, std::uint64_t n_rows) { return pandas_index(json, n_rows); }

using Names = std::set<std::string, std::less<>>;

std::string range(const std::string& start, const std::string& stop, const std::string& step) {
  return R"({"index_columns": [{"kind": "range", "name": null, "start": )" + start + R"(, "stop": )" + stop +
         R"(, "step": )" + step + R"(}], "columns": [{"name": "index_columns"}]})";
}

TEST(PandasIndexTest, NamesTheColumnsOfEveryLevel) {
  const PandasIndex one = index_of(R"({"columns": [{"a": []}], "index_columns": ["cell"]})", 3);
  EXPECT_EQ(one.columns, Names{"cell"});
  EXPECT_TRUE(one.holds("cell"));
  EXPECT_FALSE(one.holds("index_columns"));
  const PandasIndex two = index_of(R"({"index_columns": ["a", "b"], "columns": []})", 3);
  EXPECT_EQ(two.columns, (Names{"a", "b"}));
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
}

// What is counted by the million in hostile descriptions is no index.
TEST(PandasIndexTest, AnIndexHasAtMost64Levels) {
  std::string levels = "\"l0\"";
  for (int i = 1; i < 64; ++i) levels += ", \"l" + std::to_string(i) + "\"";
  EXPECT_EQ(index_of("{\"index_columns\": [" + levels + "]}", 3).columns.size(), 64U);
  EXPECT_TRUE(index_of("{\"index_columns\": [" + levels + ", \"more\"]}", 3).columns.empty());
}

// Lists and objects below the levels, and keys of the same name elsewhere, are none.
TEST(PandasIndexTest, OnlyElementsOfTheListAreLevels) {
  EXPECT_TRUE(index_of(R"({"index_columns": [["a"], {"name": "b"}]})", 3).columns.empty());
  EXPECT_TRUE(index_of(R"([{"index_columns": ["a"]}])", 3).columns.empty());
  EXPECT_EQ(index_of(R"({"index_columns": ["a"], "columns": [{"index_columns": ["b"]}]})", 3).columns,
            Names{"a"});
  EXPECT_EQ(index_of(R"({"index_columns": ["a"], "index_columns": ["c"]})", 3).columns, Names{"c"});
}

TEST(PandasIndexTest, SomeNamesAreAnIndexWithoutADescription) {
  for (const char* name : {"__index_level_0__", "__index_level_12__", "__null_dask_index__"})
    EXPECT_TRUE(is_index_name(name)) << name;
  for (const char* name :
       {"__index_level___", "__index_level_x__", "index", "__index_level_0", "level_0", ""})
    EXPECT_FALSE(is_index_name(name)) << name;
}

}  // namespace
}  // namespace penstock::parquet
