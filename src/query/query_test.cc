// Lexer, parser, binder and evaluator on tables in memory; pandas itself is the reference in
// tests/python/test_query.py.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "query/bounds.h"
#include "query/parser.h"
#include "query/program.h"
#include "query/testing/made_up_table.h"

namespace penstock::query {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class QueryTest : public ::testing::Test {
 protected:
  std::shared_ptr<MemoryBudget> budget = MemoryBudget::create(16 << 20);
  std::vector<FileTable> files = {{"a.h5ad", testing::made_up_table(6)}};

  Result<Program> bind(const std::string& expression, const QueryParams& params = {}) {
    return Program::bind(expression, params, files, budget);
  }
  std::vector<RowIndex> rows(const std::string& expression, const QueryParams& params = {}) {
    const auto program = bind(expression, params);
    EXPECT_TRUE(program.ok()) << expression << ": " << program.status().to_string();
    std::vector<RowIndex> out;
    if (!program.ok()) return out;
    const Status status = program->run(0, {[](RowIndex at) { return at; },
                                           [&out](RowRange range, const std::uint8_t* keep) {
                                             for (RowIndex row = range.first; row < range.last; ++row) {
                                               if (keep == nullptr || keep[row - range.first] != 0)
                                                 out.push_back(row);
                                             }
                                           }});
    EXPECT_TRUE(status.ok()) << status.to_string();
    return out;
  }
  std::string error(const std::string& expression, const QueryParams& params = {}) {
    const auto program = bind(expression, params);
    EXPECT_FALSE(program.ok()) << expression;
    return program.status().to_string();
  }
};

TEST_F(QueryTest, PrecedenceIsPandas) {
  // i: 0 1 2 3 4 5; flag: i is even
  EXPECT_THAT(rows("i > 1 & i < 4"), ElementsAre(2, 3));
  EXPECT_THAT(rows("i == 0 | i > 3 & flag"), ElementsAre(0, 4));
  EXPECT_THAT(rows("not i > 1 & flag"), ElementsAre(0));
  EXPECT_THAT(rows("~flag & i > 1"), ElementsAre(3, 5));
  EXPECT_THAT(rows("1 < i <= 3 != 2"), ElementsAre(2, 3));
  EXPECT_THAT(rows("-i ** 2 == -4"), ElementsAre(2));
  EXPECT_THAT(rows("2 ** 3 ** 0 == 2 and i == 1"), ElementsAre(1));
  EXPECT_THAT(rows("i - 1 - 1 == 0"), ElementsAre(2));
  EXPECT_THAT(rows("not not flag"), ElementsAre(0, 2, 4));
}

TEST_F(QueryTest, LiteralsNamesAndEscapes) {
  EXPECT_THAT(rows("i == 0x2 or i == 0b11 or i == 1_0 - 5"), ElementsAre(2, 3, 5));
  EXPECT_THAT(rows("f == .5 or f == 1e0 or f == 15e-1"), ElementsAre(1, 2, 3));
  EXPECT_THAT(rows("`a name.with dots` == 2"), ElementsAre(2));
  EXPECT_THAT(rows("s == '\\x62\\u0031'"), ElementsAre(1));
  EXPECT_THAT(rows("s == \"b1\" or s == r'b2'"), ElementsAre(1, 2));
  EXPECT_THAT(rows("i == @n", {{"n", {std::int64_t{4}}}}), ElementsAre(4));
  EXPECT_THAT(rows("s in @l", {{"l", {QueryValue::List{{std::string("b3")}, {std::string("zz")}}}}}),
              ElementsAre(3));
  EXPECT_THAT(rows("index == 3"), ElementsAre(3));
  EXPECT_THAT(rows("u == 18446744073709551615"), ElementsAre(5));
  EXPECT_THAT(rows("True"), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST_F(QueryTest, NumbersAreNumpys) {
  EXPECT_THAT(rows("i // 0 > 0"), ElementsAre(1, 2, 3, 4, 5)) << "inf";
  EXPECT_THAT(rows("(i - 3) // 2 == -1"), ElementsAre(1, 2));
  EXPECT_THAT(rows("(i - 3) % 2 == 1"), ElementsAre(0, 2, 4));
  EXPECT_THAT(rows("i % -3 == -2"), ElementsAre(1, 4));
  EXPECT_THAT(rows("i / 2 == 0.5"), ElementsAre(1));
  EXPECT_THAT(rows("u > i"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(rows("u == -1"), IsEmpty()) << "uint64 is not read as int64";
  EXPECT_THAT(rows("i > 1e300"), IsEmpty());
  EXPECT_THAT(rows("nan != nan"), ElementsAre(0));
  EXPECT_THAT(rows("nan.isnull()"), ElementsAre(0));
  EXPECT_THAT(rows("nan < 0 or nan >= 0"), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(rows("i in [1, 2.0, 'x', True, 3.5]"), ElementsAre(1, 2));
  EXPECT_THAT(rows("i == 'x'"), IsEmpty());
}

TEST_F(QueryTest, MissingStringsAndNullableNumbers) {
  // m: strings, missing at 0; k: nullable integers, missing at 1
  EXPECT_THAT(rows("m != 'b1'"), ElementsAre(0, 2, 3, 4, 5));
  EXPECT_THAT(rows("m.isnull()"), ElementsAre(0));
  EXPECT_THAT(rows("m.notna()"), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(rows("m < 'b2'"), ElementsAre(1));
  EXPECT_THAT(rows("not m.str.startswith('b')"), IsEmpty());
  EXPECT_THAT(rows("m.str.endswith('1', na=True)"), ElementsAre(0, 1));
  EXPECT_THAT(rows("k != 2"), ElementsAre(0, 3, 4, 5));
  EXPECT_THAT(rows("not (k == 2)"), ElementsAre(0, 3, 4, 5));
  EXPECT_THAT(rows("k not in [2]"), ElementsAre(0, 1, 3, 4, 5));
  EXPECT_THAT(rows("k > 3 or flag"), ElementsAre(0, 2, 4, 5));
  EXPECT_THAT(rows("k ** 0 == 1"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(rows("k // 0 == 0"), ElementsAre(0, 2, 3, 4, 5));
}

TEST_F(QueryTest, Categories) {
  // c: ordered low < mid < high, codes -1 0 1 2 0 1
  EXPECT_THAT(rows("c == 'low'"), ElementsAre(1, 4));
  EXPECT_THAT(rows("c != 'low'"), ElementsAre(0, 2, 3, 5));
  EXPECT_THAT(rows("c < 'high'"), ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(rows("'mid' <= c"), ElementsAre(2, 3, 5));
  EXPECT_THAT(rows("c in ['high', 'never']"), ElementsAre(3));
  EXPECT_THAT(rows("c == ['high', None]"), ElementsAre(0, 3));
  EXPECT_THAT(rows("c.str.contains('i')"), ElementsAre(2, 3, 5));
  EXPECT_THAT(rows("c == c"), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(error("c < 'never'"), HasSubstr("that is none of its categories"));
}

TEST_F(QueryTest, ErrorsSayWhereAndWhat) {
  EXPECT_THAT(error("i > 1 and fla"),
              HasSubstr("position 11: obs has no column 'fla'; did you mean 'flag'?"));
  EXPECT_THAT(error("i > 1 and fla"), HasSubstr("\n  i > 1 and fla\n            ^"));
  EXPECT_THAT(error("s < 5"), HasSubstr("cannot compare column 's' (string) < the number 5"));
  EXPECT_THAT(error("s + 1 > 2"), HasSubstr("column 's' (string) + the number 1"));
  EXPECT_THAT(error("i"), HasSubstr("a query is a condition"));
  EXPECT_THAT(error("i and flag"), HasSubstr("'and' joins conditions, and this is column 'i' (int64)"));
  EXPECT_THAT(error("@xs > 1", {{"x", {}}}), HasSubstr("did you mean 'x'?"));
  EXPECT_THAT(error("s.str.contains('a|b')"), HasSubstr("regex=False"));
  EXPECT_THAT(rows("s.str.contains('|', regex=False)"), IsEmpty());
  EXPECT_THAT(error("i.mean() > 1"), HasSubstr("`i.mean`"));
  EXPECT_THAT(error("i == 99999999999999999999"), HasSubstr("beyond 64 bits"));
  EXPECT_THAT(error("i == 1 // 0"), HasSubstr("division by zero"));
  for (const char* bad : {"",
                          " ",
                          "i >",
                          "(i > 1",
                          "i > 1)",
                          "i = 1",
                          "'a",
                          "`a",
                          "@",
                          "i >> 1",
                          "i is None",
                          "i[0]",
                          "f(i)",
                          "i > 1 i",
                          "not",
                          "i in 1",
                          "[1] + i > 2",
                          "\x01",
                          "08 == i",
                          "1a == i",
                          "'\\q' == s",
                          "'\\ud' == s",
                          "i.str.startswith('a')",
                          "i <",
                          "()",
                          "i == ()< 3"}) {
    EXPECT_THAT(error(bad), HasSubstr("position ")) << bad;
  }
}

TEST_F(QueryTest, BoundsOfTheText) {
  const auto nested = [](std::size_t n, const char* open, const char* close) {
    std::string text;
    for (std::size_t i = 0; i < n; ++i) text += open;
    text += "i > 1";
    for (std::size_t i = 0; i < n; ++i) text += close;
    return text;
  };
  EXPECT_THAT(rows(nested(50, "(", ")")), ElementsAre(2, 3, 4, 5));
  for (const auto& [open, close] : {std::pair("(", ")"), std::pair("not ", ""), std::pair("-", ""),
                                    std::pair("2**", ""), std::pair("[", "]"), std::pair("~", "")}) {
    EXPECT_THAT(error(nested(10'000, open, close)), HasSubstr("nested deeper")) << open;
  }
  std::string sum = "i", chain = "i";
  for (int i = 0; i < 5000; ++i) sum += " + i";
  EXPECT_THAT(error(sum + " > 2"), HasSubstr("nested deeper"));
  std::string many = "i == 1";
  for (int i = 0; i < 5000; ++i) many += " or i==2";
  EXPECT_THAT(rows(many), ElementsAre(1, 2));
  EXPECT_THAT(error(std::string(70'000, ' ') + "i"), HasSubstr("at most 65536"));
  // Each level of chains runs its middle twice: 2^80 steps, refused.
  for (int i = 0; i < 80; ++i) chain = "(0 <= " + chain + " <= 1)";
  EXPECT_THAT(error(chain), HasSubstr("too large"));
}

TEST_F(QueryTest, MemoryIsReservedAndGivenBack) {
  files = {{"a.h5ad", testing::made_up_table(100'000)}};
  {
    const auto all = rows("i >= 0 and s != 'x' and c != 'high'");
    EXPECT_GT(all.size(), 10'000u);
  }
  EXPECT_EQ(budget->usage().used, 0u);
  EXPECT_GT(budget->usage().peak, 1000 * (8 + sizeof(std::string)));
  budget = MemoryBudget::create(32 << 10);
  const auto program = bind("i >= 0 and s != 'x'");
  ASSERT_TRUE(program.ok());
  const Status status =
      program->run(0, {[](RowIndex at) { return at; }, [](RowRange, const std::uint8_t*) {}});
  EXPECT_EQ(status.code(), StatusCode::budget) << status.to_string();
}

TEST_F(QueryTest, FilesThatDiffer) {
  files.push_back({"b.h5ad", memory_table({}, -1, 3, "b.h5ad: /obs")});
  EXPECT_THAT(error("i > 1"), HasSubstr("b.h5ad: obs has no column 'i', which a.h5ad has"));
}

TEST_F(QueryTest, BoundsDecideConservatively) {
  const NumberType i64{false, NumericType::i64}, f64{false, NumericType::f64};
  const ColumnBounds b{{0, 10}, "5", "9", 0};
  const auto number = [&](Comparison op, std::int64_t c, NumberType type = {false, NumericType::i64}) {
    return possible_of_number(&b, type, false, op, {c});
  };
  EXPECT_EQ(number(Comparison::lt, 5), kFalse);
  EXPECT_EQ(number(Comparison::le, 5), kFalse | kTrue);
  EXPECT_EQ(number(Comparison::lt, 10), kTrue);
  EXPECT_EQ(number(Comparison::lt, 10, f64), kTrue | kFalse) << "NaN";
  EXPECT_EQ(number(Comparison::ne, 4, f64), kTrue) << "NaN is unequal, too";
  EXPECT_EQ(number(Comparison::eq, 4), kFalse);
  EXPECT_EQ(number(Comparison::eq, 7), kFalse | kTrue);
  EXPECT_EQ(number(Comparison::ge, 9), kFalse | kTrue);
  EXPECT_EQ(number(Comparison::gt, 9), kFalse);
  const ColumnBounds unknown{{0, 10}, std::nullopt, "9", std::nullopt};
  EXPECT_EQ(possible_of_number(&unknown, i64, true, Comparison::gt, {std::int64_t{9}}), kFalse | kMissing);
  EXPECT_EQ(possible_of_number(&unknown, i64, false, Comparison::lt, {std::int64_t{5}}), kFalse | kTrue);
  const ColumnBounds broken{{0, 10}, "x", "", 0};
  EXPECT_EQ(possible_of_number(&broken, i64, false, Comparison::lt, {std::int64_t{5}}), kFalse | kTrue);
  const ColumnBounds none{{0, 10}, std::nullopt, std::nullopt, 10};
  EXPECT_EQ(possible_of_number(&none, i64, true, Comparison::eq, {std::int64_t{5}}), kMissing);
  const ColumnBounds text{{0, 10}, "abc", "abd", 0};
  EXPECT_EQ(possible_of_text(&text, kFalse, Comparison::eq, "abb"), kFalse);
  EXPECT_EQ(possible_of_text(&text, kFalse, Comparison::eq, "abdz"), kFalse | kTrue) << "it may be cut short";
  EXPECT_EQ(possible_of_text(&text, kFalse, Comparison::eq, "abe"), kFalse);
  EXPECT_EQ(or_possible(kFalse, kTrue), kTrue);
  EXPECT_EQ(and_possible(kFalse | kTrue, kMissing), kFalse | kMissing);
  EXPECT_EQ(not_possible(kTrue | kMissing), kFalse | kMissing);
}

TEST(QueryParameter, IsALiteralOrText) {
  EXPECT_EQ(std::get<std::int64_t>(parse_query_value("-5")->value), -5);
  EXPECT_EQ(std::get<double>(parse_query_value("1.5")->value), 1.5);
  EXPECT_EQ(std::get<bool>(parse_query_value("True")->value), true);
  EXPECT_EQ(std::get<std::string>(parse_query_value("DMSO_TF")->value), "DMSO_TF");
  EXPECT_EQ(std::get<std::string>(parse_query_value("5 mg (a)")->value), "5 mg (a)");
  EXPECT_EQ(std::get<std::string>(parse_query_value("'5'")->value), "5");
  EXPECT_EQ(std::get<std::string>(parse_query_value("")->value), "");
  EXPECT_EQ(std::get<QueryValue::List>(parse_query_value("['a', 2]")->value).size(), 2u);
  EXPECT_THAT(parse_query_value("['a'").status().to_string(), HasSubstr("position 5"));
  EXPECT_THAT(parse_query_value("[a]").status().to_string(), HasSubstr("position 2"));
}

}  // namespace
}  // namespace penstock::query
