#include "query/lexer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace penstock::query {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = Token::Kind;

std::vector<Token> tokens(const std::string& text) {
  auto out = tokenize(SourceText("query", text));
  EXPECT_TRUE(out.ok()) << text << ": " << out.status().to_string();
  return out.ok() ? std::move(out).value() : std::vector<Token>();
}
std::vector<std::string> texts(const std::string& text) {
  std::vector<std::string> out;
  for (const Token& token : tokens(text)) out.push_back(token.text);
  return out;
}
std::string error(const std::string& text) {
  const auto out = tokenize(SourceText("query", text));
  EXPECT_FALSE(out.ok()) << text;
  return out.status().message();
}
// The only literal of a text.
template <class T>
T literal(const std::string& text) {
  const auto all = tokens(text);
  EXPECT_EQ(all.size(), 2u) << text;
  EXPECT_EQ(all.front().kind, Kind::literal) << text;
  const T* value = std::get_if<T>(&all.front().value.value);
  EXPECT_NE(value, nullptr) << text;
  return value == nullptr ? T() : *value;
}

TEST(Lexer, SplitsAndSaysWhere) {
  const auto all = tokens("n_counts >= @least");
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].kind, Kind::name);
  EXPECT_EQ(all[0].text, "n_counts");
  EXPECT_EQ(all[1].kind, Kind::symbol);
  EXPECT_EQ(all[1].text, ">=");
  EXPECT_EQ(all[2].kind, Kind::parameter);
  EXPECT_EQ(all[2].text, "least");
  EXPECT_EQ(all[3].kind, Kind::end);
  EXPECT_EQ(all[0].at, 0u);
  EXPECT_EQ(all[1].at, 9u);
  EXPECT_EQ(all[2].at, 12u);
  EXPECT_EQ(all[3].at, 18u);
}

TEST(Lexer, TheLongestSymbolWins) {
  EXPECT_THAT(texts("a<=b==c//d**e"), ElementsAre("a", "<=", "b", "==", "c", "//", "d", "**", "e", ""));
  EXPECT_THAT(texts("<>=="), ElementsAre("<", ">=", "=", ""));
}

TEST(Lexer, NamesMayBeQuotedAndOfAnyLetters) {
  EXPECT_EQ(tokens("`cell type`").front().kind, Kind::quoted_name);
  EXPECT_THAT(texts("`cell type` _x1 gr\xc3\xb6\xc3\x9f\x65"),
              ElementsAre("cell type", "_x1", "gr\xc3\xb6\xc3\x9f\x65", ""));
}

TEST(Lexer, WholeNumbersOfEveryBase) {
  EXPECT_EQ(literal<std::int64_t>("0"), 0);
  EXPECT_EQ(literal<std::int64_t>("1_000"), 1000);
  EXPECT_EQ(literal<std::int64_t>("0x1F"), 31);
  EXPECT_EQ(literal<std::int64_t>("0b101"), 5);
  EXPECT_EQ(literal<std::int64_t>("0o17"), 15);
  EXPECT_EQ(literal<std::int64_t>("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(literal<std::uint64_t>("9223372036854775808"), std::uint64_t{1} << 63);
  EXPECT_THAT(error("18446744073709551616"), HasSubstr("beyond 64 bits"));
  EXPECT_THAT(error("007"), HasSubstr("leading zeros"));
  EXPECT_THAT(error("0x"), HasSubstr("without digits"));
  EXPECT_THAT(error("12abc"), HasSubstr("runs into the number"));
}

TEST(Lexer, FloatsAsPythonReadsThem) {
  EXPECT_EQ(literal<double>("1.5"), 1.5);
  EXPECT_EQ(literal<double>(".5"), 0.5);
  EXPECT_EQ(literal<double>("5."), 5.0);
  EXPECT_EQ(literal<double>("1e3"), 1000.0);
  EXPECT_EQ(literal<double>("2E-2"), 0.02);
  EXPECT_EQ(literal<double>("1e999"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(literal<double>("1e-999"), 0.0);
}

TEST(Lexer, StringsWithEscapesAndRaw) {
  EXPECT_EQ(literal<std::string>("'a b'"), "a b");
  EXPECT_EQ(literal<std::string>("\"it's\""), "it's");
  EXPECT_EQ(literal<std::string>("'\\x41\\u00e9\\t'"), "A\xc3\xa9\t");
  EXPECT_EQ(literal<std::string>("'\\U0001F9EC'"), "\xf0\x9f\xa7\xac");
  EXPECT_EQ(literal<std::string>("r'\\d+'"), "\\d+");
  EXPECT_THAT(error("'open"), HasSubstr("no end"));
  EXPECT_THAT(error("'\\q'"), HasSubstr("unknown escape"));
  EXPECT_THAT(error("'\\x4'"), HasSubstr("hexadecimal"));
  EXPECT_THAT(error("'\\UFFFFFFFF'"), HasSubstr("no such character"));
  EXPECT_THAT(error("'\\ud800'"), HasSubstr("no such character"));
  EXPECT_THAT(error("'\\U0000dfff'"), HasSubstr("no such character"));
}

TEST(Lexer, WhatIsNoWordIsRefusedWhereItStands) {
  EXPECT_THAT(error("a ? b"), HasSubstr("not part of a query"));
  EXPECT_THAT(error("@1"), HasSubstr("name follows @"));
  EXPECT_THAT(error("`open"), HasSubstr("has no end"));
  EXPECT_THAT(error(std::string(kMostText + 1, ' ')), HasSubstr("at most"));
  EXPECT_EQ(tokens(std::string(kMostText, ' ')).size(), 1u);
}

}  // namespace
}  // namespace penstock::query
