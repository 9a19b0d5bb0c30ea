// What binding makes of a tree: which columns are read, and which operands go together. What the steps answer
// is in query_test.cc.
#include "query/bind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "query/parser.h"
#include "query/testing/made_up_table.h"

namespace penstock::query {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class BindTest : public ::testing::Test {
 protected:
  Result<Bound> bind(const std::string& text, const QueryParams& params = {}) {
    const SourceText source("query", text);
    PENSTOCK_ASSIGN_OR_RETURN(const auto tree, parse(source));
    return bind_tree(*tree, params, files, *budget, source);
  }
  std::vector<std::string> columns(const std::string& text, const QueryParams& params = {}) {
    const auto bound = bind(text, params);
    EXPECT_TRUE(bound.ok()) << text << ": " << bound.status().to_string();
    std::vector<std::string> out;
    if (!bound.ok()) return out;
    EXPECT_NE(bound->root, nullptr);
    for (const NamedColumn& column : bound->columns) out.push_back(column.name);
    return out;
  }
  std::string error(const std::string& text, const QueryParams& params = {}) {
    const auto bound = bind(text, params);
    EXPECT_FALSE(bound.ok()) << text;
    return bound.status().message();
  }

  std::shared_ptr<MemoryBudget> budget = MemoryBudget::create(16 << 20);
  std::vector<FileTable> files = {{"a.h5ad", testing::made_up_table(6)},
                                  {"b.h5ad", testing::made_up_table(3)}};
};

TEST_F(BindTest, EveryColumnIsOpenedOnce) {
  EXPECT_THAT(columns("i > 1 and f < i and s == 'b1'"), ElementsAre("i", "f", "s"));
  EXPECT_THAT(columns("`a name.with dots` == 2"), ElementsAre("a name.with dots"));
  EXPECT_THAT(columns("1 < 2"), IsEmpty());
}

TEST_F(BindTest, ColumnsAreOpenedInEveryFile) {
  const auto bound = bind("c == 'low'");
  ASSERT_TRUE(bound.ok());
  ASSERT_EQ(bound->columns.size(), 1u);
  EXPECT_TRUE(bound->columns[0].categorical);
  EXPECT_TRUE(bound->columns[0].same_list);
  EXPECT_EQ(bound->columns[0].files.size(), 2u);
}

TEST_F(BindTest, ParametersAreValues) {
  EXPECT_THAT(columns("i in @list", {{"list", {QueryValue::List{{std::int64_t{1}}, {std::int64_t{2}}}}}}),
              ElementsAre("i"));
  EXPECT_THAT(error("i == @n"), HasSubstr("n"));
  EXPECT_THAT(error("i in @list", {{"list", {QueryValue::List{{QueryValue::List{}}}}}}),
              HasSubstr("a list of lists"));
}

TEST_F(BindTest, OperandsHaveToGoTogether) {
  EXPECT_THAT(error("i"), HasSubstr("a query is a condition"));
  EXPECT_THAT(error("s + 1 == 2"), HasSubstr("takes numbers"));
  EXPECT_THAT(error("-s == 1"), HasSubstr("- takes a number"));
  EXPECT_THAT(error("not i"), HasSubstr("'not' takes a condition"));
  EXPECT_THAT(error("flag and i"), HasSubstr("joins conditions"));
  EXPECT_THAT(error("s < 1"), HasSubstr("cannot compare"));
  EXPECT_THAT(error("i.str.contains('x')"), HasSubstr(".str is for strings"));
  EXPECT_THAT(error("nothing == 1"), HasSubstr("nothing"));
}

TEST_F(BindTest, WhatListsTakeIsReserved) {
  const auto before = budget->usage().used;
  const auto bound = bind("c in ['low', 'high']");
  ASSERT_TRUE(bound.ok());
  EXPECT_GT(budget->usage().used, before);
}

}  // namespace
}  // namespace penstock::query
