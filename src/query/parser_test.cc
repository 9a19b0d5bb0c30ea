// What the grammar makes of a text, written with brackets around everything.
#include "query/parser.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::query {
namespace {

using ::testing::HasSubstr;
using Kind = Node::Kind;

std::string constant(const QueryValue& value) {
  if (const auto* text = std::get_if<std::string>(&value.value)) return "'" + *text + "'";
  if (const auto* whole = std::get_if<std::int64_t>(&value.value)) return std::to_string(*whole);
  if (const auto* number = std::get_if<double>(&value.value)) return fmt::format("{}", *number);
  if (const auto* truth = std::get_if<bool>(&value.value)) return *truth ? "True" : "False";
  return "None";
}

std::string shown(const Node& node) {
  std::string out = "(";
  const auto joined = [&](std::string_view between) {
    for (std::size_t i = 0; i < node.args.size(); ++i) {
      out += fmt::format("{}{}", i == 0 ? "" : between, shown(*node.args[i]));
    }
    return out + ")";
  };
  switch (node.kind) {
    case Kind::constant:
      return constant(node.value);
    case Kind::column:
      return node.name;
    case Kind::parameter:
      return "@" + node.name;
    case Kind::list:
      joined(", ");
      return "[" + out.substr(1) + "]";
    case Kind::negate:
      return fmt::format("(-{})", shown(*node.args[0]));
    case Kind::invert:
      return fmt::format("(not {})", shown(*node.args[0]));
    case Kind::arithmetic:
      return joined(fmt::format(" {} ", symbol(node.op)));
    case Kind::compare:
      out += shown(*node.args[0]);
      for (std::size_t i = 0; i < node.comparisons.size(); ++i) {
        out += fmt::format(" {} {}", symbol(node.comparisons[i].op), shown(*node.args[i + 1]));
      }
      return out + ")";
    case Kind::all_of:
      return joined(" and ");
    case Kind::any_of:
      return joined(" or ");
    case Kind::text_test:
      return fmt::format("test({}, {})", shown(*node.args[0]), shown(*node.args[1]));
    case Kind::is_null:
      return fmt::format("{}null({})", node.negated ? "not" : "is", shown(*node.args[0]));
  }
  return "?";
}

std::string parsed(const std::string& text) {
  const auto tree = parse(SourceText("query", text));
  EXPECT_TRUE(tree.ok()) << text << ": " << tree.status().to_string();
  return tree.ok() ? shown(**tree) : "";
}
std::string error(const std::string& text) {
  const auto tree = parse(SourceText("query", text));
  EXPECT_FALSE(tree.ok()) << text;
  return tree.status().message();
}

TEST(Parser, OperatorsBindAsInPandas) {
  EXPECT_EQ(parsed("a or b and not c"), "(a or (b and (not c)))");
  // & and | bind like `and` and `or`: a > 1 & b < 2 needs no brackets.
  EXPECT_EQ(parsed("a > 1 & b < 2 | c"), "(((a > 1) and (b < 2)) or c)");
  EXPECT_EQ(parsed("a + 2 * b - 1"), "((a + (2 * b)) - 1)");
  EXPECT_EQ(parsed("(a + 2) * b"), "((a + 2) * b)");
  EXPECT_EQ(parsed("-a ** 2 ** b"), "(-(a ** (2 ** b)))");
  EXPECT_EQ(parsed("~a & b"), "((not a) and b)");
}

TEST(Parser, ComparisonsChain) {
  EXPECT_EQ(parsed("1 < a <= b != 3"), "(1 < a <= b != 3)");
  EXPECT_EQ(parsed("a not in ['x', 'y'] and b in @list"), "((a not in ['x', 'y']) and (b in @list))");
}

TEST(Parser, Methods) {
  EXPECT_EQ(parsed("a.isin([1, 2])"), "(a in [1, 2])");
  EXPECT_EQ(parsed("a.isnull() | b.notna()"), "(isnull(a) or notnull(b))");
  EXPECT_EQ(parsed("a.str.contains('x', regex=False, na=True)"), "test(a, 'x')");
}

TEST(Parser, ManyOfAKindAreOneNode) {
  EXPECT_EQ(parsed("a and b & c"), "(a and b and c)");
  EXPECT_EQ(parsed("a or b | c"), "(a or b or c)");
}

TEST(Parser, ErrorsSayWhatAndWhere) {
  EXPECT_THAT(error(""), HasSubstr("empty"));
  EXPECT_THAT(error("a = 1"), HasSubstr("== compares"));
  EXPECT_THAT(error("a b"), HasSubstr("expected an operator"));
  EXPECT_THAT(error("a +"), HasSubstr("found the end"));
  EXPECT_THAT(error("f(a)"), HasSubstr("cannot be called"));
  EXPECT_THAT(error("a[0]"), HasSubstr("nothing can be indexed"));
  EXPECT_THAT(error("a.mean()"), HasSubstr("no method of a query"));
  EXPECT_THAT(error("(a"), HasSubstr("expected )"));
  EXPECT_THAT(error("1 +\n+ +"), HasSubstr("position 8"));
}

TEST(Parser, NestingEnds) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '(') + "a" + std::string(depth, ')');
  };
  EXPECT_EQ(parsed(nested(kMostDepth - 10)), "a");
  EXPECT_THAT(error(nested(3 * kMostDepth)), HasSubstr("nested deeper"));
  std::string powers = "a";
  for (std::size_t i = 0; i < kMostDepth + 1; ++i) powers = "-" + powers;
  EXPECT_THAT(error(powers), HasSubstr("nested deeper"));
}

}  // namespace
}  // namespace penstock::query
