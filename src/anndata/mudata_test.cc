#include "anndata/mudata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anndata/anndata_file.h"
#include "anndata/matrices.h"
#include "anndata/testing/memory_group.h"

namespace penstock::anndata {
namespace {

using namespace penstock::testing;  // NOLINT: the builders
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<MemoryGroup> group(const std::string& path) {
  auto made = std::make_shared<MemoryGroup>(path);
  made->set_label("a.h5mu");
  return made;
}

std::shared_ptr<MemoryGroup> table(const std::string& path, std::uint64_t n) {
  auto made = testing::frame("a.h5mu", n, {});
  made->set_path(path);
  return made;
}

// A matrix of 2 rows and 3 columns.
std::shared_ptr<MemoryGroup> matrix(std::vector<float> values) {
  auto made = std::make_shared<MemoryGroup>(
      "csr_matrix", MemoryGroup::Children{{"data", numbers<float>(std::move(values))},
                                          {"indices", numbers<std::int32_t>({0, 2, 1})},
                                          {"indptr", numbers<std::int64_t>({0, 2, 3})}});
  made->set_ints("shape", {2, 3});
  return made;
}

// Modalities "rna", with a raw and a layer, and "prot", whose values are no counts.
std::shared_ptr<MemoryGroup> mudata(bool ordered) {
  auto layers = group("/mod/rna/layers");
  layers->add("counts", matrix({1, 2, 3}));
  auto raw = group("/mod/rna/raw");
  raw->add("X", matrix({1, 2, 3}));
  raw->add("var", table("/mod/rna/raw/var", 3));
  auto rna = group("/mod/rna"), prot = group("/mod/prot"), mod = group("/mod"), root = group("/");
  for (const auto& object : {rna, prot}) {
    object->add("obs", table(object->path() + "/obs", 2));
    object->add("var", table(object->path() + "/var", 3));
  }
  rna->add("X", matrix({4, 5, 6}));
  rna->add("raw", raw);
  rna->add("layers", layers);
  prot->add("X", matrix({0.5f, 1, 2}));
  mod->add("rna", rna);
  mod->add("prot", prot);
  if (ordered) mod->set("mod-order", {"prot", "gone", "rna"});
  root->add("obs", table("/obs", 2));
  root->add("var", table("/var", 6));
  root->add("mod", mod);
  return root;
}

TEST(MuData, MatricesAreNamedByTheirModality) {
  const auto budget = MemoryBudget::create(10'000'000);
  const auto root = mudata(false);
  std::vector<std::string> names;
  const auto entries = list_matrices(*root);
  ASSERT_TRUE(entries.ok());
  for (const MatrixEntry& entry : *entries) names.push_back(entry.name);
  EXPECT_THAT(names, ElementsAre("mod/rna/X", "mod/rna/raw/X", "mod/rna/layers/counts", "mod/prot/X"));
  for (const std::string& name : names) {
    const auto file = AnnDataFile::open(root, name, *budget);
    ASSERT_TRUE(file.ok()) << file.status().to_string();
    EXPECT_EQ(file->matrix->label(), "a.h5mu: " + name);
    EXPECT_EQ(file->matrix->traits().n_cols, 3u);
    EXPECT_EQ(file->object->path(), "/" + name.substr(0, name.find('/', 4)));
  }
  EXPECT_EQ(AnnDataFile::open(root, "mod/rna/raw/X", *budget)->var.where(), "a.h5mu: /mod/rna/raw/var");
  EXPECT_EQ(AnnDataFile::open(root, "mod/prot/X", *budget)->obs.where(), "a.h5mu: /mod/prot/obs");
}

TEST(MuData, TheFileItselfHasTablesAndNoMatrix) {
  const auto budget = MemoryBudget::create(10'000'000);
  const auto file = AnnDataFile::open(mudata(false), "X", *budget);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  EXPECT_EQ(file->obs.n_rows(), 2u);
  EXPECT_EQ(file->var.n_rows(), 6u);
  RequestList list;
  const std::vector<RowRange> all = {{0, 2}};
  EXPECT_EQ(file->matrix->requests(all, Heads::estimated, list).message(),
            "a.h5mu: /X does not exist; open another matrix with matrix=\"mod/rna/X\" or "
            "matrix=\"mod/rna/raw/X\" or matrix=\"mod/rna/layers/counts\" or matrix=\"mod/prot/X\"");
}

TEST(MuData, TheOrderIsThatOfTheFile) {
  EXPECT_THAT(*list_modalities(*mudata(false)), ElementsAre("rna", "prot"));
  EXPECT_THAT(*list_modalities(*mudata(true)), ElementsAre("prot", "rna"));
  EXPECT_TRUE(list_modalities(*group("/"))->empty());
}

TEST(MuData, WhatIsNotThereIsSaidWithWhatIs) {
  const auto budget = MemoryBudget::create(10'000'000);
  const auto root = mudata(false);
  const auto message = [&](const std::string& name) {
    const auto file = AnnDataFile::open(root, name, *budget);
    EXPECT_FALSE(file.ok()) << name;
    return file.status().message();
  };
  EXPECT_THAT(message("mod/rnq/X"), HasSubstr("expected \"mod/NAME/X\", \"mod/NAME/raw/X\""));
  EXPECT_THAT(message("mod/rnq/X"), HasSubstr("did you mean matrix=\"mod/rna/X\"?"));
  EXPECT_THAT(message("mod/rna"), HasSubstr("did you mean matrix=\"mod/rna/X\"?"));
  EXPECT_THAT(message("mod/rna/count"), HasSubstr("expected \"mod/rna/X\""));
  EXPECT_THAT(message("mod/rna/count"), HasSubstr("did you mean matrix=\"mod/rna/layers/counts\"?"));
  EXPECT_THAT(message("mod/prot/raw/X"), HasSubstr("open another matrix with matrix=\"mod/prot/X\""));
  EXPECT_THAT(message("mod//X"), HasSubstr("expected"));
}

TEST(MuData, AModalityThatIsAnArrayIsCorrupt) {
  const auto budget = MemoryBudget::create(10'000'000);
  auto root = group("/"), mod = group("/mod");
  root->add("obs", table("/obs", 2));
  root->add("var", table("/var", 3));
  mod->add("rna", numbers<float>({1}));
  root->add("mod", mod);
  EXPECT_EQ(AnnDataFile::open(root, "mod/rna/X", *budget).status().code(), StatusCode::corrupt);
  EXPECT_TRUE(list_matrices(*root)->empty());
}

}  // namespace
}  // namespace penstock::anndata
