#include "parquet/gene_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::parquet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Csv, QuotesLineEndsAndEmptyFields) {
  const auto lines = parse_csv("a,b\r\n\"x, \"\"y\"\"\nz\",\n\n1,2", "t.csv");
  ASSERT_TRUE(lines.ok());
  ASSERT_EQ(lines->size(), 3U);
  EXPECT_THAT((*lines)[0], ElementsAre("a", "b"));
  EXPECT_THAT((*lines)[1], ElementsAre("x, \"y\"\nz", ""));
  EXPECT_THAT((*lines)[2], ElementsAre("1", "2"));
  EXPECT_TRUE(parse_csv("", "t.csv")->empty());
}

TEST(Csv, WhatIsNoTableIsCorruptAndNamesTheLine) {
  EXPECT_THAT(parse_csv("a,b\n1\n", "t.csv").status().message(),
              HasSubstr("t.csv: line 2: another number of fields"));
  EXPECT_THAT(parse_csv("a,b\n1,2\n\"3,4\n", "t.csv").status().message(),
              HasSubstr("line 3: a quote that is not closed"));
  EXPECT_THAT(parse_csv("a\nx\"y\n", "t.csv").status().message(),
              HasSubstr("line 2: a quote inside a field"));
  EXPECT_EQ(parse_csv("a,b\n1", "t.csv").status().code(), StatusCode::corrupt);
}

}  // namespace
}  // namespace penstock::parquet
