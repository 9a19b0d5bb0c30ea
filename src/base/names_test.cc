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

}  // namespace
}  // namespace penstock
