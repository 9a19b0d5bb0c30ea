#include "parquet/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::parquet {
namespace {

using Kind = MatrixLayout::Kind;
using ::testing::HasSubstr;

Leaf leaf(const std::string& name, PhysicalType type) {
  Leaf out;
  out.path = out.name = name;
  out.type = type;
  return out;
}

Leaf list(const std::string& path, PhysicalType type) {
  Leaf out = leaf(path, type);
  out.name = path.substr(0, path.find('.'));
  out.shape = Leaf::Shape::list;
  out.max_rep = 1;
  return out;
}

FileMetadata of(std::vector<Leaf> columns) {
  FileMetadata out;
  out.label = "a.parquet";
  out.columns = std::move(columns);
  out.n_columns = out.columns.size();
  return out;
}

FileMetadata table(const std::vector<std::string>& names, PhysicalType ids, PhysicalType values) {
  return of({leaf(names[0], ids), leaf(names[1], ids), leaf(names[2], values)});
}

// Whatever names are usual for coordinates, in any order of the columns.
TEST(Layout, TripletsUnderUsualNames) {
  const std::vector<std::vector<std::string>> usual = {
      {"row", "col", "data"},
      {"row", "column", "value"},
      {"i", "j", "x"},
      {"cell_idx", "gene_idx", "count"},
      {"cell_id", "gene_id", "count"},
      {"cell_integer_id", "gene_integer_id", "value"},
      {"barcode_idx", "feature_idx", "umi_count"},
      {"soma_dim_0", "soma_dim_1", "soma_data"},
      {"soma_joinid", "soma_dim_1", "soma_data"},
      {"obs_soma_joinid", "var_soma_joinid", "soma_data"},
  };
  for (const auto& names : usual) {
    const auto found = find_layout(table(names, PhysicalType::int64, PhysicalType::float32), {});
    ASSERT_TRUE(found.ok()) << found.status().message();
    EXPECT_EQ(found->kind, Kind::triplets) << names[0];
    EXPECT_EQ(found->triplets.of_pqdata, names[2] == "data");
    const auto turned =
        find_layout(table({names[2], names[1], names[0]}, PhysicalType::int32, PhysicalType::int32), {});
    ASSERT_TRUE(turned.ok()) << turned.status().message();
    EXPECT_EQ(turned->triplets.row, 2U);
    EXPECT_EQ(turned->triplets.col, 1U);
    EXPECT_EQ(turned->triplets.value, 0U);
  }
}

TEST(Layout, ThreeColumnsThatLookLikeCoordinatesAreRefused) {
  for (const PhysicalType values : {PhysicalType::int32, PhysicalType::float32, PhysicalType::float64}) {
    const FileMetadata file = table({"where", "what", "much"}, PhysicalType::int32, values);
    const auto found = find_layout(file, {});
    ASSERT_EQ(found.status().code(), StatusCode::unsupported);
    EXPECT_THAT(found.status().message(), HasSubstr(R"(row="where", col="what", value="much")"));
    OpenOptions wide;
    wide.matrix = "wide";
    ASSERT_TRUE(find_layout(file, wide).ok());
    EXPECT_EQ(find_layout(file, wide)->wide.size(), 3U);
    OpenOptions named;
    named.row = "what";
    named.col = "where";
    named.value = "much";
    ASSERT_TRUE(find_layout(file, named).ok());
    EXPECT_EQ(find_layout(file, named)->triplets.row, 1U);
  }
}

// Coordinates by their names, beside other columns, without a third one, and in the index that pandas kept.
TEST(Layout, KnownNamesOfCoordinatesAreNoGenes) {
  using enum PhysicalType;
  const FileMetadata more =
      of({leaf("cell_idx", int32), leaf("gene_idx", int32), leaf("count", int32), leaf("umis", int32)});
  const FileMetadata less = of({leaf("i", int32), leaf("j", int32)});
  FileMetadata index = table({"row", "col", "x"}, int32, float32);
  index.pandas.columns = {"row", "col"};
  for (const FileMetadata* file : std::initializer_list<const FileMetadata*>{&more, &less, &index}) {
    const auto found = find_layout(*file, {});
    ASSERT_EQ(found.status().code(), StatusCode::unsupported) << found.status().message();
    EXPECT_THAT(found.status().message(), HasSubstr("row="));
  }
  OpenOptions named;
  named.row = "row";
  ASSERT_TRUE(find_layout(index, named).ok()) << find_layout(index, named).status().message();
  EXPECT_EQ(find_layout(index, named)->triplets.value, 2U);
}

TEST(Layout, GenesAreGenes) {
  using enum PhysicalType;
  for (const PhysicalType type : {float32, float64}) {
    const auto found = find_layout(of({leaf("TP53", type), leaf("MYC", type), leaf("GAPDH", type)}), {});
    ASSERT_TRUE(found.ok()) << found.status().message();
    EXPECT_EQ(found->kind, Kind::wide);
  }
  const auto four =
      find_layout(of({leaf("A", int32), leaf("B", int32), leaf("C", int32), leaf("D", int32)}), {});
  ASSERT_TRUE(four.ok());
  EXPECT_EQ(four->wide.size(), 4U);
}

TEST(Layout, NamesThatAreNotThereAreSaid) {
  const FileMetadata file = table({"a", "b", "c"}, PhysicalType::int32, PhysicalType::int32);
  OpenOptions options;
  options.row = "a";
  auto found = find_layout(file, options);
  EXPECT_EQ(found.status().code(), StatusCode::not_found);
  EXPECT_THAT(found.status().message(), HasSubstr("say col= too"));
  options.col = "nothing";
  found = find_layout(file, options);
  EXPECT_EQ(found.status().code(), StatusCode::not_found);
  EXPECT_THAT(found.status().message(), HasSubstr("col='nothing'"));
  options.col = "b";
  options.value = "b";
  found = find_layout(file, options);
  EXPECT_EQ(found.status().code(), StatusCode::invalid_argument);
}

TEST(Layout, TheSameColumnTwiceIsNoThirdOne) {
  const auto found = find_layout(table({"row", "row", "col"}, PhysicalType::int32, PhysicalType::int32), {});
  EXPECT_EQ(found.status().code(), StatusCode::unsupported);
}

TEST(Layout, ObsAreNoGenes) {
  using enum PhysicalType;
  const FileMetadata file =
      of({leaf("cell_type", byte_array), leaf("n_counts", int64), leaf("G1", float32), leaf("G2", float32)});
  EXPECT_EQ(find_layout(file, {}).status().code(), StatusCode::unsupported);
  OpenOptions options;
  options.obs = {"n_counts"};
  auto found = find_layout(file, options);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->wide, (std::vector<std::size_t>{2, 3}));
  options.obs = {"age"};
  EXPECT_EQ(find_layout(file, options).status().code(), StatusCode::not_found);
  // Where all other columns are obs anyway.
  options.obs = {"n"};
  const FileMetadata lists =
      of({list("genes.list.element", int64), list("expressions.list.element", float32), leaf("n", int64)});
  EXPECT_EQ(find_layout(lists, options).status().code(), StatusCode::invalid_argument);
}

// A list may lie in a group, or in repeated structs: its path names it.
TEST(Layout, ListsInsideGroups) {
  using enum PhysicalType;
  const FileMetadata file = of({list("cell.genes", int32), list("cell.counts.list.element", float32)});
  OpenOptions options;
  options.genes = "cell.genes";
  options.expressions = "cell.counts";
  const auto found = find_layout(file, options);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->kind, Kind::lists);
  EXPECT_EQ(found->values, 1U);
  options.expressions = "cell.count";
  EXPECT_EQ(find_layout(file, options).status().code(), StatusCode::unsupported);
}

}  // namespace
}  // namespace penstock::parquet
