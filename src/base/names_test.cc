#include "base/names.h"

#include <gtest/gtest.h>

#include <vector>

namespace penstock {
namespace {

TEST(NamesTest, NearNamesFirstElseAList) {
  const std::vector<std::string> names = {"cell_line", "drug", "n_counts"};
  EXPECT_EQ(suggest_names("Drugs", names), "did you mean 'drug'?");
  EXPECT_EQ(suggest_names("ncounts", names), "did you mean 'n_counts'?");
  EXPECT_EQ(suggest_names("leiden", names), "there are: 'cell_line', 'drug', 'n_counts'");
  EXPECT_EQ(suggest_names("x", {}), "it is empty");
  std::vector<std::string> many;
  for (int i = 0; i < 20; ++i) many.push_back("column_" + std::to_string(100 + i));
  EXPECT_NE(suggest_names("leiden", many).find("(12 more)"), std::string::npos);
  EXPECT_EQ(suggest_names(std::string(1000, 'x'), names).substr(0, 9), "there are");
}

TEST(NamesTest, NamesOfALongListAreFound) {
  const std::vector<std::string> names = {"b", "", "a", "b c", "a"};
  const NameOrder order(names);
  for (const std::string& name : names) EXPECT_TRUE(order.has(names, name));
  for (const char* name : {"c", "b ", "A", "aa"}) EXPECT_FALSE(order.has(names, name));
  EXPECT_FALSE(NameOrder().has({}, ""));
}

TEST(NamesTest, BytesThatAreNoTextAreShown) {
  for (const char* text :
       {"", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\xa7\xac", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(text));
    EXPECT_EQ(shown_text(text), text);
  }
  for (const char* bytes : {"\xe9", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf0\x80\x80\xaf",
                            "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\x80", "\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(bytes));
    EXPECT_TRUE(is_utf8(shown_text(bytes)));
  }
  EXPECT_EQ(shown_text("caf\xe9 \xc3\xa9\xc3"), "caf\\xe9 \xc3\xa9\\xc3");
}

}  // namespace
}  // namespace penstock
