#include "dataset/obs_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anndata/table.h"
#include "anndata/testing/memory_group.h"
#include "dataset/selection.h"

namespace penstock::internal {
namespace {

using namespace penstock::testing;  // NOLINT: the builders
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Children = MemoryGroup::Children;

// A table of files a.h5ad, b.h5ad, ... with 3 rows each.
struct Files {
  explicit Files(const std::vector<Children>& columns) {
    std::vector<ObsTable::File> files;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::string path = std::string(1, static_cast<char>('a' + i)) + ".h5ad";
      files.push_back({path, anndata::make_table(*anndata::Frame::open(frame(path, 3, columns[i])))});
      FilePart part;
      part.first_row = 3 * i;
      part.n_selected = 3;
      parts.push_back(part);
    }
    table = std::make_unique<ObsTable>(std::move(files), budget);
  }

  Column read(const std::string& name) const {
    auto column = table->read(name, parts);
    EXPECT_TRUE(column.ok()) << column.status().to_string();
    return column.ok() ? std::move(column).value() : Column();
  }

  std::shared_ptr<MemoryBudget> budget = MemoryBudget::create(10'000'000);
  Parts parts;
  std::unique_ptr<ObsTable> table;
};

TEST(ObsTable, OneFileIsAsStored) {
  const Files files({{{"c", categorical({1, 0, -1}, {"z", "a"}, true)}, {"n", numbers<float>({1, 2, 3})}}});
  const Column c = files.read("c");
  EXPECT_THAT(c.categories, ElementsAre("z", "a"));
  EXPECT_THAT(c.codes, ElementsAre(1, 0, -1));
  EXPECT_TRUE(c.ordered);
  EXPECT_EQ(c.dtype, "category");
  // Labels have the sorted list.
  EXPECT_THAT(*files.table->categories("c"), ElementsAre("a", "z"));
  EXPECT_THAT(files.table->label("c", nullptr)->files[0].codes, ElementsAre(-1, 1, 0));
  EXPECT_EQ(files.read("n").dtype, "float32");
}

TEST(ObsTable, DifferentListsAreUnited) {
  const Files files({{{"c", categorical({0, 1, -1}, {"b", "d"})}},
                     {{"c", categorical({0, 0, 1}, {"a", "b"})}},
                     {{"c", strings({"c", "b", "c"})}}});
  const Column c = files.read("c");
  EXPECT_EQ(c.kind, Column::Kind::categorical);
  EXPECT_THAT(c.categories, ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(c.codes, ElementsAre(1, 3, -1, 0, 0, 1, 2, 1, 2));
  EXPECT_FALSE(c.ordered);
  const auto label = *files.table->label("c", nullptr);
  EXPECT_EQ(label.kind, ObsKind::category);
  EXPECT_THAT(label.categories, ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(label.files[0].codes, ElementsAre(-1, 1, 3));
  EXPECT_THAT(label.files[1].codes, ElementsAre(-1, 0, 1));
  EXPECT_THAT(label.files[2].codes, ElementsAre(-1, 1, 2));  // local codes: b, c
}

TEST(ObsTable, UnusedCategoriesAreDeclared) {
  const Files files({{{"c", categorical({0, 0, 0}, {"a", "never"})}}});
  EXPECT_THAT(*files.table->categories("c"), ElementsAre("a", "never"));
}

TEST(ObsTable, SelectionsReadTheirRows) {
  const Files files({{{"c", categorical({0, 1, 0}, {"x", "y"})}, {"s", strings({"p", "q", "r"})}},
                     {{"c", categorical({1, 1, 0}, {"x", "y"})}, {"s", strings({"t", "u", "v"})}}});
  const Parts odd = *select_slice(files.parts, 1, 6, 2, *files.budget);
  EXPECT_THAT(files.table->read("c", odd)->codes, ElementsAre(1, 1, 0));
  EXPECT_THAT(files.table->read("s", odd)->strings, ElementsAre("q", "t", "v"));
  EXPECT_THAT(*files.table->names(odd), ElementsAre("a.h5ad-1", "b.h5ad-0", "b.h5ad-2"));
  const Parts none = *select_slice(files.parts, 0, 0, 1, *files.budget);
  EXPECT_EQ(files.table->read("c", none)->size(), 0u);
  // Labels are of all rows, whatever is selected.
  EXPECT_THAT(*files.table->categories("s"), ElementsAre("p", "q", "r", "t", "u", "v"));
}

TEST(ObsTable, NumbersWiden) {
  const Files files({{{"i", numbers<std::int8_t>({-1, 2, 3})},
                      {"f", numbers<std::int32_t>({1, 2, 3})},
                      {"b", MemoryArray::booleans({1, 0, 1})},
                      {"u", numbers<std::uint64_t>({1, 2, 1ull << 63})},
                      {"w", numbers<std::uint64_t>({1, 2, ~0ull})},
                      {"n", numbers<std::int64_t>({1, 2, 3})},
                      {"g", numbers<float>({1, 2, 3})}},
                     {{"i", numbers<std::int64_t>({1, 2, 3})},
                      {"f", numbers<float>({0.5, 2, 3})},
                      {"b", numbers<std::int16_t>({1, 2, 3})},
                      {"u", numbers<std::int32_t>({-1, 2, 3})},
                      {"w", numbers<std::int32_t>({-1, 2, 3})},
                      {"n", nullable("nullable-integer", numbers<std::int64_t>({4, 5, 6}), {0, 1, 0})},
                      {"g", MemoryArray::booleans({1, 0, 1})}}});
  const auto label_kind = [&](const char* name) { return files.table->label(name, nullptr)->kind; };
  EXPECT_THAT(files.read("i").integers, ElementsAre(-1, 2, 3, 1, 2, 3));
  EXPECT_EQ(files.read("i").dtype, "int64");
  EXPECT_EQ(label_kind("i"), ObsKind::integer);
  EXPECT_THAT(files.read("f").floats, ElementsAre(1, 2, 3, 0.5, 2, 3));
  EXPECT_EQ(files.read("f").dtype, "float64");
  EXPECT_EQ(label_kind("f"), ObsKind::floating64);
  EXPECT_THAT(files.read("b").integers, ElementsAre(1, 0, 1, 1, 2, 3));
  EXPECT_EQ(label_kind("b"), ObsKind::integer);
  EXPECT_THAT(files.read("u").floats, ElementsAre(1, 2, 9223372036854775808.0, -1, 2, 3));
  const auto refused = files.table->read("w", files.parts);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.status().message(), HasSubstr("18446744073709551615 is no float64 exactly"));
  // Rows that are not selected do not count.
  EXPECT_TRUE(files.table->read("w", *select_slice(files.parts, 0, 2, 1, *files.budget)).ok());
  EXPECT_THAT(files.read("n").integers, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(files.read("n").missing, ElementsAre(0, 0, 0, 0, 1, 0));
  EXPECT_EQ(label_kind("n"), ObsKind::floating64);
  EXPECT_EQ(label_kind("g"), ObsKind::floating32);
}

TEST(ObsTable, CategoriesOfNumbersSortAsNumbers) {
  const auto list = [](const std::vector<std::int64_t>& values) {
    return categorical(numbers<std::int8_t>({0, 1, 0}), numbers(values));
  };
  const Files files({{{"i", list({10, -9})},
                      {"m", list({10, 2})},
                      {"b", categorical(numbers<std::int8_t>({0, 1, 1}), MemoryArray::booleans({0, 1}))}},
                     {{"i", list({9, 100})},
                      {"m", categorical(numbers<std::int8_t>({0, 1, 0}), numbers<double>({2, 0.5}))},
                      {"b", categorical(numbers<std::int8_t>({0, 0, 0}), MemoryArray::booleans({1}))}}});
  EXPECT_THAT(*files.table->categories("i"), ElementsAre("-9", "9", "10", "100"));
  EXPECT_EQ(files.read("i").categories_kind, Column::Kind::integer);
  EXPECT_THAT(*files.table->categories("m"), ElementsAre("0.5", "2.0", "10.0"));
  EXPECT_EQ(files.read("m").categories_kind, Column::Kind::floating);
  EXPECT_THAT(files.read("m").codes, ElementsAre(2, 1, 2, 1, 0, 1));
  EXPECT_THAT(*files.table->categories("b"), ElementsAre("False", "True"));
}

TEST(ObsTable, WhatDoesNotFitTogetherNamesTheFiles) {
  const Files files({{{"x", strings({"a", "b", "c"})},
                      {"y", categorical({0, 0, 0}, {"a"})},
                      {"only", numbers<float>({1, 2, 3})}},
                     {{"x", numbers<float>({1, 2, 3})},
                      {"y", categorical(numbers<std::int8_t>({0, 0, 0}), numbers<std::int64_t>({1}))}}});
  const Status x = files.table->read("x", files.parts).status();
  EXPECT_EQ(x.code(), StatusCode::invalid_argument);
  EXPECT_THAT(x.message(), HasSubstr("string in a.h5ad, but float32 in b.h5ad"));
  const Status y = files.table->label("y", nullptr).status();
  EXPECT_EQ(y.code(), StatusCode::invalid_argument);
  EXPECT_THAT(y.message(), HasSubstr("a list of strings in a.h5ad, but a list of integers in b.h5ad"));
  const Status gone = files.table->read("only", files.parts).status();
  EXPECT_EQ(gone.code(), StatusCode::not_found);
  EXPECT_THAT(gone.message(), HasSubstr("b.h5ad: /obs: no column 'only'"));
  EXPECT_EQ(files.table->categories("nothing").status().code(), StatusCode::not_found);
  const auto infos = files.table->columns();
  ASSERT_EQ(infos.size(), 3u);
  EXPECT_TRUE(infos[0].usable);
  EXPECT_FALSE(infos[2].usable);
  EXPECT_THAT(infos[2].why, HasSubstr("b.h5ad"));
}

TEST(ObsTable, GivenCategoriesReplaceTheUnion) {
  const Files files({{{"c", categorical({0, 1, 2}, {"a", "b", "c"})}, {"n", numbers<float>({1, 2, 3})}}});
  const std::vector<std::string> given{"c", "new", "a"};
  const auto label = *files.table->label("c", &given);
  EXPECT_EQ(label.categories, given);
  EXPECT_THAT(label.files[0].codes, ElementsAre(-1, 2, -1, 0));
  const std::vector<std::string> twice{"c", "c"};
  EXPECT_EQ(files.table->label("c", &twice).status().code(), StatusCode::invalid_argument);
  EXPECT_EQ(files.table->label("n", &given).status().code(), StatusCode::invalid_argument);
}

TEST(ObsTable, ListsAreReadOnce) {
  const Files files(
      {{{"c", categorical({0, 1, 0}, {"a", "b"})}}, {{"c", categorical({1, 1, 0}, {"a", "b"})}}});
  ASSERT_TRUE(files.table->categories("c").ok());
  const auto used = files.budget->usage().used;
  EXPECT_GT(used, 0u);
  ASSERT_TRUE(files.table->label("c", nullptr).ok());
  ASSERT_TRUE(files.table->read("c", files.parts).ok());
  EXPECT_EQ(files.budget->usage().used, used);
}

}  // namespace
}  // namespace penstock::internal
