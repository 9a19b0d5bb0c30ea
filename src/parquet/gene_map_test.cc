#include "parquet/gene_map.h"

#include <gtest/gtest.h>

namespace penstock::parquet {
namespace {

TEST(GeneMap, DenseAndSparseTokens) {
  const auto budget = MemoryBudget::create(1'000'000);
  const std::vector<std::vector<std::int64_t>> tables = {
      {3, 4, 5, 9}, {-7, 1'000'000'000'000, 5}, {INT64_MIN, INT64_MAX, 0}, {42}};
  for (const auto& tokens : tables) {
    const auto map = GeneMap::create(tokens, *budget);
    ASSERT_TRUE(map.ok());
    EXPECT_EQ((*map)->n_cols(), tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) EXPECT_EQ((*map)->column(tokens[i]), i);
    for (const std::int64_t other :
         {std::int64_t{2}, std::int64_t{6}, std::int64_t{-1}, std::int64_t{1'000'000}}) {
      EXPECT_EQ((*map)->column(other), GeneMap::kUnknown) << other;
    }
  }
  EXPECT_EQ(budget->usage().used, 0U);
}

TEST(GeneMap, Identity) {
  const auto map = GeneMap::identity(10);
  EXPECT_EQ(map->column(9), 9U);
  EXPECT_EQ(map->column(10), GeneMap::kUnknown);
  EXPECT_EQ(map->column(-1), GeneMap::kUnknown);
}

TEST(GeneMap, RefusesATokenTwiceAndWhatDoesNotFit) {
  const auto budget = MemoryBudget::create(100);
  for (const std::vector<std::int64_t>& tokens :
       {std::vector<std::int64_t>{1, 2, 1}, std::vector<std::int64_t>{1, 1LL << 50, 1}}) {
    const auto map = GeneMap::create(tokens, *budget);
    EXPECT_EQ(map.status().code(), StatusCode::invalid_argument);
    EXPECT_NE(map.status().message().find("token 1 twice"), std::string::npos);
  }
  EXPECT_EQ(GeneMap::create(std::vector<std::int64_t>(1000, 3), *budget).status().code(),
            StatusCode::invalid_argument);
  std::vector<std::int64_t> many(1000);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<std::int64_t>(i);
  EXPECT_EQ(GeneMap::create(many, *budget).status().code(), StatusCode::budget);
}

}  // namespace
}  // namespace penstock::parquet
