#include "anndata/matrices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anndata/anndata_file.h"
#include "anndata/testing/memory_group.h"

namespace penstock::anndata {
namespace {

using namespace penstock::testing;  // NOLINT: the builders
using ::testing::HasSubstr;

// A sparse group of 2 rows and 3 columns.
std::shared_ptr<MemoryGroup> sparse(const std::string& encoding, std::shared_ptr<MemoryArray> data) {
  auto group = std::make_shared<MemoryGroup>(
      encoding, MemoryGroup::Children{{"data", std::move(data)},
                                      {"indices", numbers<std::int32_t>({0, 2, 1})},
                                      {"indptr", numbers<std::int64_t>({0, 2, 3})}});
  group->set_ints("shape", {2, 3});
  return group;
}
std::shared_ptr<MemoryArray> counts() { return numbers<float>({1, 2, 3}); }

std::shared_ptr<MemoryGroup> table(const std::string& file, const std::string& path, std::uint64_t n) {
  auto group = testing::frame(file, n, {});
  group->set_path(path);
  return group;
}

// A file with obs, var and the given matrices.
std::shared_ptr<MemoryGroup> file_with(const MemoryGroup::Children& children) {
  auto root = std::make_shared<MemoryGroup>("/");
  root->set_label("a.h5ad");
  root->add("obs", table("a.h5ad", "/obs", 2));
  root->add("var", table("a.h5ad", "/var", 3));
  for (const auto& [name, node] : children) root->add(name, node);
  return root;
}

TEST(Matrices, OpensXRawAndLayers) {
  auto raw = std::make_shared<MemoryGroup>("/raw");
  raw->add("X", sparse("csr_matrix", counts()));
  raw->add("var", table("a.h5ad", "/raw/var", 3));
  auto layers = std::make_shared<MemoryGroup>("/layers");
  layers->add("counts", sparse("csr_matrix", numbers<std::uint16_t>({7, 8, 9})));
  layers->add("other", sparse("csc_matrix", counts()));
  const auto root = file_with({{"X", sparse("csr_matrix", counts())}, {"raw", raw}, {"layers", layers}});
  const auto budget = MemoryBudget::create(10'000'000);
  for (const char* name : {"X", "raw/X", "layers/counts"}) {
    const auto file = AnnDataFile::open(root, name, *budget);
    ASSERT_TRUE(file.ok()) << file.status().to_string();
    EXPECT_EQ(file->matrix->traits().n_rows, 2u);
    EXPECT_EQ(file->matrix->traits().n_cols, 3u);
    EXPECT_EQ(file->matrix->label(), std::string("a.h5ad: ") + name);
  }
  const auto entries = *list_matrices(*root);
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].name, "X");
  EXPECT_EQ(entries[1].name, "raw/X");
  EXPECT_EQ(entries[2].description, "a CSR matrix (uint16, 2 x 3)");
  EXPECT_EQ(entries[3].description, "a CSC matrix (float32, 2 x 3)");
}

TEST(Matrices, CscMatricesAreReadByColumns) {
  auto columns = sparse("csc_matrix", counts());
  columns->set_ints("shape", {3, 2});  // two offsets and one more: of columns
  auto root = std::make_shared<MemoryGroup>("/");
  root->set_label("a.h5ad");
  root->add("X", columns);
  root->add("obs", table("a.h5ad", "/obs", 3));
  root->add("var", table("a.h5ad", "/var", 2));
  const auto budget = MemoryBudget::create(10'000'000);
  const auto file = AnnDataFile::open(root, "X", *budget);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_NE(file->matrix->by_columns(), nullptr);
  EXPECT_EQ(file->matrix->traits().n_rows, 3u);
  EXPECT_THAT(open_csr(*root, "X").status().message(), HasSubstr("a CSC matrix, expected a CSR matrix"));
  // What older files say.
  columns->remove_attribute("encoding-type");
  columns->set("h5sparse_format", std::string("csc"));
  EXPECT_NE((*AnnDataFile::open(root, "X", *budget)).matrix->by_columns(), nullptr);
}

TEST(Matrices, WhatIsNotReadSaysWhatToOpenInstead) {
  auto layers = std::make_shared<MemoryGroup>("/layers");
  layers->add("counts", sparse("csr_matrix", counts()));
  const auto status = [](const std::shared_ptr<MemoryGroup>& root, const char* name) {
    return open_csr(*root, name).status();
  };
  auto root = file_with({{"X", numbers<float>({1, 2, 3})}, {"layers", layers}});
  EXPECT_EQ(status(root, "X").code(), StatusCode::unsupported);
  EXPECT_EQ(status(root, "X").message(),
            "a.h5ad: /X: an array (float32, 1 dimensions) is not read yet; open another matrix with "
            "matrix=\"layers/counts\"");
  EXPECT_EQ(status(root, "raw/X").code(), StatusCode::not_found);
  EXPECT_EQ(status(root, "layers/count").code(), StatusCode::not_found);
  EXPECT_EQ(status(root, "Y").code(), StatusCode::invalid_argument);
  EXPECT_EQ(status(root, "layers/").code(), StatusCode::invalid_argument);
  root = file_with({});
  EXPECT_EQ(status(root, "X").message(), "a.h5ad: /X does not exist; the file has no matrix");
  // A group without a word of what it is.
  root = file_with({{"X", std::make_shared<MemoryGroup>("/X")}});
  EXPECT_THAT(status(root, "X").message(), HasSubstr("a group without encoding-type"));
  // raw may be a null array
  root = file_with({{"X", sparse("csr_matrix", counts())}, {"raw", numbers<float>({})}});
  EXPECT_EQ(status(root, "raw/X").code(), StatusCode::not_found);
  EXPECT_EQ(list_matrices(*root)->size(), 1u);
}

TEST(Matrices, OldFilesNameThemInOtherWays) {
  auto old = sparse("csr_matrix", counts());
  old->remove_attribute("encoding-type");
  old->remove_attribute("shape");
  old->set("h5sparse_format", std::string("csr"));
  old->set_ints("h5sparse_shape", {2, 3});
  const auto root = file_with(
      {{"X", old}, {"raw.X", sparse("csr_matrix", counts())}, {"raw.var", table("a.h5ad", "/raw.var", 3)}});
  const auto budget = MemoryBudget::create(10'000'000);
  for (const char* name : {"X", "raw/X"}) {
    const auto file = AnnDataFile::open(root, name, *budget);
    ASSERT_TRUE(file.ok()) << file.status().to_string();
    EXPECT_EQ(file->matrix->traits().n_cols, 3u);
  }
  EXPECT_EQ(list_matrices(*root)->size(), 2u);
}

TEST(Matrices, AFileWithoutXOpensAndSaysWhatElseThereIs) {
  auto layers = std::make_shared<MemoryGroup>("/layers");
  layers->add("counts", sparse("csr_matrix", counts()));
  const auto budget = MemoryBudget::create(10'000'000);
  for (const auto& root : {file_with({{"layers", layers}}), file_with({})}) {
    const auto file = AnnDataFile::open(root, "X", *budget);
    ASSERT_TRUE(file.ok()) << file.status().to_string();
    EXPECT_EQ(file->matrix->traits().n_rows, 2u);
    EXPECT_EQ(file->matrix->traits().n_cols, 3u);
    RequestList list;
    const RowRange rows{0, 1};
    const Status status = file->matrix->requests({&rows, 1}, Heads::whole, list);
    EXPECT_EQ(status.code(), StatusCode::not_found);
    EXPECT_THAT(status.message(), HasSubstr("a.h5ad: /X does not exist; "));
  }
}

TEST(Matrices, PartsThatAreMissingAreCorrupt) {
  auto no_indices = std::make_shared<MemoryGroup>("csr_matrix", MemoryGroup::Children{{"data", counts()}});
  no_indices->set_ints("shape", {2, 3});
  EXPECT_EQ(open_csr(*file_with({{"X", no_indices}}), "X").status().code(), StatusCode::corrupt);
  auto no_shape = sparse("csr_matrix", counts());
  no_shape->remove_attribute("shape");
  EXPECT_EQ(open_csr(*file_with({{"X", no_shape}}), "X").status().code(), StatusCode::corrupt);
  auto negative = sparse("csr_matrix", counts());
  negative->set_ints("shape", {-2, 3});
  EXPECT_EQ(open_csr(*file_with({{"X", negative}}), "X").status().code(), StatusCode::corrupt);
}

TEST(AnnDataFile, SizesMustAgree) {
  const auto budget = MemoryBudget::create(10'000'000);
  auto root = std::make_shared<MemoryGroup>("/");
  root->set_label("a.h5ad");
  root->add("X", sparse("csr_matrix", counts()));
  root->add("obs", table("a.h5ad", "/obs", 5));
  root->add("var", table("a.h5ad", "/var", 3));
  const auto file = AnnDataFile::open(root, "X", *budget);
  EXPECT_EQ(file.status().code(), StatusCode::corrupt);
  EXPECT_EQ(file.status().message(), "a.h5ad: X: 2 rows, but a.h5ad: /obs has 5 rows");
}

TEST(AnnDataFile, OtherFormatsAreNamed) {
  const auto budget = MemoryBudget::create(10'000'000);
  const auto message = [&](const std::vector<std::string>& names) {
    auto root = std::make_shared<MemoryGroup>("/");
    for (const std::string& name : names) root->add(name, std::make_shared<MemoryGroup>("/" + name));
    const Status status = AnnDataFile::open(root, "X", *budget).status();
    EXPECT_EQ(status.code(), StatusCode::unsupported);
    return status.message();
  };
  EXPECT_THAT(message({"row_attrs", "col_attrs", "matrix"}), HasSubstr("a loom file"));
  EXPECT_THAT(message({"images"}), HasSubstr("not an AnnData file"));
}

TEST(Matrices, CountsAreRecognisedFromASample) {
  const auto guess = [](std::shared_ptr<MemoryArray> data) { return *looks_like_counts(*data); };
  EXPECT_EQ(guess(numbers<float>({1, 2, 0})), true);
  EXPECT_EQ(guess(numbers<float>({1, 2.5f, 0})), false);
  EXPECT_EQ(guess(numbers<double>({-1, 2})), false);
  EXPECT_EQ(guess(numbers<std::int32_t>({4, 2}, 1)), true);
  EXPECT_EQ(guess(numbers<float>({std::numeric_limits<float>::infinity()})), false);
  EXPECT_EQ(guess(numbers<float>({})), std::nullopt);
  // The middle counts too, even where the beginning is whole.
  std::vector<float> values(1'000'000, 1);
  values[500'000] = 0.5f;
  EXPECT_EQ(guess(numbers(values, 1000)), false);
}

}  // namespace
}  // namespace penstock::anndata
