// Datasets of real files of ../shared/data: twins, several files as one, selections, rows, verification.
#include "penstock/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <numeric>

#include "dataset/dataset_impl.h"
#include "io/testing/memory_file.h"
#include "penstock/verify.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;

const std::string kData = "../shared/data/";
// Twins: the same cells, compressed and not.
const std::string kGzip = kData + "bmfm_zheng68k.h5ad", kPlain = kData + "bmfm_zheng68k_raw_counts.h5ad";

class DatasetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kGzip)) GTEST_SKIP() << "no " << kData;
  }
};

std::shared_ptr<const Dataset> open(const std::vector<std::string>& paths, OpenOptions options = {}) {
  auto opened = Dataset::open(paths, std::move(options));
  EXPECT_TRUE(opened.ok()) << opened.status().to_string();
  return opened.ok() ? opened.value() : nullptr;
}

Status open_status(const std::vector<std::string>& paths, OpenOptions options = {}) {
  return Dataset::open(paths, std::move(options)).status();
}

std::vector<std::int64_t> all_positions(const Dataset& ds) {
  std::vector<std::int64_t> positions(ds.n_obs());
  std::iota(positions.begin(), positions.end(), 0);
  return positions;
}

bool same(const CsrMatrix& a, const CsrMatrix& b) {
  return a.n_rows == b.n_rows && a.n_cols == b.n_cols && a.indptr == b.indptr && a.indices == b.indices &&
         a.value_dtype == b.value_dtype && a.values == b.values;
}

TEST_F(DatasetTest, TwinsAreTheSameAndConcatenate) {
  const auto gzip = open({kGzip}), plain = open({kPlain}), both = open({kGzip, kPlain});
  ASSERT_TRUE(gzip && plain && both);
  EXPECT_EQ(gzip->n_obs(), 165u);
  EXPECT_EQ(gzip->n_vars(), 9621u);
  EXPECT_EQ(gzip->value_dtype(), "float32");
  const auto a = *gzip->read_rows(all_positions(*gzip));
  EXPECT_EQ(a.indices.size(), 96500u);
  EXPECT_TRUE(same(a, *plain->read_rows(all_positions(*plain))));
  EXPECT_EQ(both->n_obs(), 330u);
  EXPECT_EQ(both->files().size(), 2u);
  EXPECT_EQ(both->files()[1].first_row, 165u);
  std::vector<std::int64_t> second(165);
  std::iota(second.begin(), second.end(), 165);
  EXPECT_TRUE(same(a, *both->read_rows(second)));
  EXPECT_EQ(both->obs_names()->size(), 330u);
  EXPECT_EQ(both->locate(164)->file, 0u);
  EXPECT_EQ(both->locate(165)->file, 1u);
  EXPECT_EQ(both->locate(329)->row, 164u);
  EXPECT_EQ(both->locate(330).status().code(), StatusCode::invalid_argument);
}

TEST_F(DatasetTest, RowsInAnyOrderAndRepeated) {
  const auto both = open({kGzip, kPlain});
  const auto all = *both->read_rows(all_positions(*both));
  const std::vector<std::int64_t> wanted{200, 3, 3, 329, 0};
  const auto rows = *both->read_rows(wanted);
  ASSERT_EQ(rows.n_rows, wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto from = static_cast<std::size_t>(wanted[i]);
    const auto n = static_cast<std::size_t>(all.indptr[from + 1] - all.indptr[from]);
    ASSERT_EQ(static_cast<std::size_t>(rows.indptr[i + 1] - rows.indptr[i]), n);
    for (std::size_t k = 0; k < n; ++k) {
      const auto x = static_cast<std::size_t>(rows.indptr[i]) + k,
                 y = static_cast<std::size_t>(all.indptr[from]) + k;
      ASSERT_EQ(rows.indices[x], all.indices[y]);
      ASSERT_EQ(std::memcmp(&rows.values[4 * x], &all.values[4 * y], 4), 0);
    }
  }
  EXPECT_EQ(both->read_rows(std::vector<std::int64_t>{330}).status().code(), StatusCode::invalid_argument);
  EXPECT_EQ(both->read_rows(std::vector<std::int64_t>{-1}).status().code(), StatusCode::invalid_argument);
  EXPECT_EQ(both->read_rows({})->n_rows, 0u);
}

TEST_F(DatasetTest, SelectionsKeepGlobalNumbers) {
  const auto both = open({kGzip, kPlain});
  const auto some = *(*both->select_slice(100, 300, 2))->select_slice(10, 90, 3);
  std::vector<std::int64_t> rows(some->n_obs());
  ASSERT_TRUE(some->global_rows(0, rows).ok());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i], static_cast<std::int64_t>(100 + 2 * (10 + 3 * i)));
  }
  EXPECT_TRUE(same(*some->read_rows(all_positions(*some)), *both->read_rows(rows)));
  EXPECT_EQ(some->n_obs_total(), 330u);
  EXPECT_FALSE(some->global_rows(some->n_obs(), rows).ok());
  const std::vector<double> fractions{0.9, 0.1};
  const auto parts = *both->split(fractions, {});
  EXPECT_EQ(parts[0]->n_obs(), 297u);
  EXPECT_EQ(parts[1]->n_obs(), 33u);
  EXPECT_EQ(parts[1]->obs_names()->size(), 33u);
}

TEST_F(DatasetTest, VarOfRawIsItsOwn) {
  OpenOptions raw;
  raw.matrix = "raw/X";
  const auto ds = open({kData + "tiledbsoma_pbmc-small.h5ad"}, raw);
  EXPECT_EQ(ds->n_vars(), 230u);
  EXPECT_EQ(ds->var_names().size(), 230u);
  EXPECT_EQ(ds->matrix(), "raw/X");
}

TEST_F(DatasetTest, AdviceAboutCounts) {
  const auto ds = open({kData + "anndataR_example.h5ad"});
  EXPECT_THAT(ds->other_matrices(), ::testing::ElementsAre("layers/counts", "layers/csc_counts",
                                                           "layers/dense_X", "layers/dense_counts"));
  ASSERT_EQ(ds->notes().size(), 1u);
  EXPECT_EQ(ds->notes()[0].kind, NoteKind::not_counts);
  EXPECT_THAT(ds->notes()[0].text, HasSubstr("matrix=\"layers/counts\""));
  EXPECT_TRUE(open({kGzip})->notes().empty());
}

TEST_F(DatasetTest, FilesThatDifferNameTheFirstDifference) {
  const Status other = open_status({kGzip, kData + "bmfm_sciplex3.h5ad"});
  EXPECT_EQ(other.code(), StatusCode::invalid_argument);
  EXPECT_THAT(other.message(), HasSubstr("2,000 columns, but " + kGzip + " has 9,621"));
  const std::string v7 = kData + "bpcells_mini_mat.anndata-v0.7.h5ad";
  OpenOptions keyed;
  keyed.var_key = "nope";
  EXPECT_EQ(open_status({v7}, keyed).code(), StatusCode::not_found);
}

TEST_F(DatasetTest, OptionsAreChecked) {
  EXPECT_EQ(open_status({}).code(), StatusCode::invalid_argument);
  OpenOptions options;
  options.join = "inner";
  EXPECT_TRUE(open_status({kGzip}, options).ok());
  options.join = "sideways";
  EXPECT_EQ(open_status({kGzip}, options).code(), StatusCode::invalid_argument);
  options = {};
  options.matrix = "Y";
  EXPECT_EQ(open_status({kGzip}, options).code(), StatusCode::invalid_argument);
  options = {};
  options.index_memory = 10'000;
  const Status small = open_status({kGzip}, options);
  EXPECT_EQ(small.code(), StatusCode::budget);
  EXPECT_THAT(small.message(), HasSubstr("index_memory=10 KB"));
  EXPECT_EQ(open_status({kData + "absent.h5ad"}).code(), StatusCode::not_found);
  EXPECT_FALSE(open_status({kData}).ok());
}

TEST_F(DatasetTest, VerifyPassesAndFindsDamage) {
  const auto good = open({kGzip});
  VerifyOptions how;
  std::uint64_t steps = 0, total = 0;
  how.progress = [&](std::uint64_t done, std::uint64_t all) {
    EXPECT_EQ(done, ++steps);
    total = all;
  };
  const auto counts = verify(kGzip, how);
  ASSERT_TRUE(counts.ok()) << counts.status().to_string();
  EXPECT_EQ(counts->bad, 0u);
  EXPECT_EQ(steps, total) << "steps are counted before they are taken";
  EXPECT_GT(counts->chunks, 0u);
  EXPECT_GT(counts->bytes, 200'000u);
  EXPECT_EQ(counts->matrices, std::vector<std::string>{"X"});

  // The same file with bytes flipped in two chunks of data.
  auto bytes = *testing::load_file(kGzip);
  const auto& source = *good->impl().parts()[0].source;
  RequestList list;
  const std::vector<RowRange> first{{0, 1}}, last{{164, 165}};
  ASSERT_TRUE(source.requests(first, Heads::whole, list).ok());
  for (const std::vector<RowRange>& rows : {first, last}) {
    list.clear();
    ASSERT_TRUE(source.requests(rows, Heads::whole, list).ok());
    const ReadRequest& request = list.requests()[0];
    for (ByteCount i = request.bytes / 2; i < request.bytes / 2 + 64; ++i)
      bytes[request.offset + i] ^= std::byte{0xff};
  }
  how.open.opener = [&](const std::string& path) -> Result<std::shared_ptr<const File>> {
    return std::shared_ptr<const File>(std::make_shared<testing::MemoryFile>(bytes, path));
  };
  how.progress = {};
  std::vector<std::string> reports;
  how.report = [&](const std::string& message) { reports.push_back(message); };
  const auto found = verify(kGzip, how);
  ASSERT_TRUE(found.ok()) << found.status().to_string();
  EXPECT_GE(found->bad, 1u);
  EXPECT_EQ(found->bad, reports.size());
  EXPECT_EQ(found->chunks + found->bad, counts->chunks) << "it goes on after what is wrong";
  for (const std::string& report : reports) EXPECT_THAT(report, HasSubstr(" at byte 0x"));
}

TEST_F(DatasetTest, NothingStaysReservedAfterClosing) {
  auto ds = open({kGzip, kPlain});
  EXPECT_GT(ds->index_bytes(), 9621u * 32);
  const auto before = ds->index_bytes();
  {
    const auto half = *ds->select_slice(0, 330, 2);
    EXPECT_GT(ds->index_bytes(), before);
  }
  EXPECT_EQ(ds->index_bytes(), before);
}

TEST_F(DatasetTest, LabelsOfRealColumns) {
  const auto ds = open({kData + "bmfm_sciplex3.h5ad"});
  for (const ColumnInfo& info : ds->obs_columns()) {
    ASSERT_TRUE(info.usable) << info.why;
    const auto label = ds->impl().label(info.name, nullptr);
    ASSERT_TRUE(label.ok()) << label.status().to_string();
    const auto column = *ds->obs(info.name);
    EXPECT_EQ(label->kind == ObsKind::category,
              column.kind == Column::Kind::categorical || column.kind == Column::Kind::string);
    if (label->kind == ObsKind::category) {
      EXPECT_EQ(label->categories, *ds->categories(info.name));
    }
  }
}

}  // namespace
}  // namespace penstock
