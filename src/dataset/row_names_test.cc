#include "dataset/row_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anndata/table.h"
#include "anndata/testing/memory_group.h"

namespace penstock::internal {
namespace {

using namespace penstock::testing;  // NOLINT: the builders
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kLarge = 200'000;  // rows of file "b": several blocks

// Files a, b and c; rows are called "a-0", "a-1", ...
std::vector<RowNames::File> files() {
  std::vector<RowNames::File> out;
  RowIndex first = 0;
  for (const auto& [name, rows] :
       {std::pair<std::string, std::uint64_t>{"a", 3}, {"none", 0}, {"b", kLarge}, {"c", 2}}) {
    out.push_back({anndata::make_table(*anndata::Frame::open(frame(name, rows, {}))), first});
    first += rows;
  }
  return out;
}

const std::vector<std::int64_t> kRows{4 + kLarge, 1, 2 + kLarge, 3, 100'003, 1, 0};
const auto kNames = ElementsAre("c-1", "a-1", "b-199999", "b-0", "b-100000", "a-1", "a-0");

TEST(RowNames, InTheOrderAskedAndKept) {
  const auto budget = MemoryBudget::create(100'000'000);
  const RowNames names(files(), budget);
  const auto first = names.read(kRows);
  ASSERT_TRUE(first.ok()) << first.status().to_string();
  EXPECT_THAT(first->names, kNames);
  EXPECT_FALSE(first->read_again);
  const auto used = budget->usage().used;
  EXPECT_GE(used, kLarge * (8 + 3));
  EXPECT_LE(used, kLarge * (8 + 12));
  EXPECT_THAT(names.read(kRows)->names, kNames);
  EXPECT_EQ(budget->usage().used, used);
  EXPECT_TRUE(names.read({})->names.empty());
}

TEST(RowNames, WhatDoesNotFitIsReadAgain) {
  // Half of it is enough for the small files, not for the large one: neither its table nor its text.
  for (const std::uint64_t bytes : {2'000'000, 4'000'000}) {
    const auto budget = MemoryBudget::create(bytes);
    const RowNames names(files(), budget);
    for (int i = 0; i < 2; ++i) {
      const auto read = names.read(kRows);
      ASSERT_TRUE(read.ok()) << read.status().to_string();
      EXPECT_THAT(read->names, kNames);
      EXPECT_TRUE(read->read_again);
      EXPECT_LT(budget->usage().used, 1000u);
    }
    EXPECT_FALSE(names.read(std::vector<std::int64_t>{0, 2})->read_again);
  }
}

TEST(RowNames, NoSuchRow) {
  const RowNames names(files(), MemoryBudget::create(100'000'000));
  for (const std::int64_t row : {std::int64_t{-1}, std::int64_t{5 + kLarge}, std::int64_t{1} << 40}) {
    const Status status = names.read(std::vector<std::int64_t>{0, row}).status();
    EXPECT_EQ(status.code(), StatusCode::invalid_argument);
    EXPECT_THAT(status.message(), HasSubstr("no row " + std::to_string(row)));
  }
}

}  // namespace
}  // namespace penstock::internal
