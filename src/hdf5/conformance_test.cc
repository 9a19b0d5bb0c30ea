// Every array of the shared data whose values are known (EXPECTED.tsv), and a walk over every object of every
// HDF5 file there (MANIFEST.tsv). Skipped when ../shared/data is absent.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "hdf5/hdf5.h"
#include "hdf5/testing/walk.h"

namespace penstock::hdf5 {
namespace {

const std::string kData = "../shared/data/";

using Row = std::map<std::string, std::string>;

std::vector<Row> read_tsv(const std::string& path) {
  std::ifstream in(path);
  std::vector<Row> rows;
  std::vector<std::string> header;
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string> cells;
    std::stringstream split(line);
    for (std::string cell; std::getline(split, cell, '\t');) cells.push_back(cell);
    if (header.empty()) {
      header = cells;
      continue;
    }
    Row row;
    for (std::size_t i = 0; i < header.size(); ++i) row[header[i]] = i < cells.size() ? cells[i] : "";
    rows.push_back(std::move(row));
  }
  return rows;
}

// numpy's code of a stored type, byte order as decoded.
std::string code(const store::DataType& t) {
  if (t.cls == store::TypeClass::boolean) return "|b1";
  if (t.cls != store::TypeClass::number) return t.description;
  const char kind = is_floating(t.number)                                ? 'f'
                    : std::string_view(numeric_name(t.number))[0] == 'u' ? 'u'
                                                                         : 'i';
  return fmt::format("{}{}{}", t.size == 1 ? "|" : "<", kind, t.size);
}

std::string crc(const store::Array& array) {
  auto bytes = array.read_all(1 << 30);
  if (!bytes.ok()) return bytes.status().message();
  return fmt::format(
      "{:08x}", ::crc32(0, reinterpret_cast<const Bytef*>(bytes->data()), static_cast<uInt>(bytes->size())));
}

// The same bytes through the data path, in awkward ranges.
std::string crc_by_ranges(const store::Array& array) {
  std::uint64_t state = 1;
  ::uLong sum = 0;
  CodecContext codec;
  RequestList list;
  std::vector<std::byte> scratch(array.range_scratch_bytes()), data, out;
  for (std::uint64_t at = 0; at < array.size();) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t n =
        std::min<std::uint64_t>(array.size() - at, 1 + (state >> 33) % (array.size() / 7 + 1));
    list.clear();
    array.add_requests(at, n, Heads::whole, list);
    list.coalesce(kCoalesceGap, kCoalesceMax);
    data.resize(list.total_bytes());
    ByteCount position = 0;
    for (const auto& r : list.requests()) {
      const Status s = r.file->read_at(r.offset, std::span(data).subspan(position, r.bytes));
      if (!s.ok()) return s.message();
      position += r.bytes;
    }
    out.resize(n * array.dtype().size);
    const Status s = array.decode_range(at, n, Fetched(list.requests(), data.data()), scratch, codec, out);
    if (!s.ok()) return s.message();
    sum = ::crc32(sum, reinterpret_cast<const Bytef*>(out.data()), static_cast<uInt>(out.size()));
    at += n;
  }
  return fmt::format("{:08x}", sum);
}

std::string shape_text(const store::Array& array) {
  std::string text;
  for (const auto n : array.shape()) text += (text.empty() ? "" : "x") + std::to_string(n);
  return text;
}

class Hdf5ConformanceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kData + "EXPECTED.tsv")) GTEST_SKIP() << kData << " is absent";
  }
};

TEST_F(Hdf5ConformanceTest, EveryExpectedArray) {
  std::size_t checked = 0;
  const auto budget = MemoryBudget::create(256 << 20);
  for (const Row& row : read_tsv(kData + "EXPECTED.tsv")) {
    SCOPED_TRACE(row.at("file") + " " + row.at("path"));
    const store::OpenLimits limits{.index_budget = budget};
    auto root = open(kData + row.at("file"), limits);
    ASSERT_TRUE(root.ok()) << root.status().message();
    auto node = (*root)->child(row.at("path"));
    ASSERT_TRUE(node.ok()) << node.status().message();
    const std::string& kind = row.at("kind");
    std::vector<std::shared_ptr<const store::Node>> arrays;
    std::vector<std::string> crcs = {row.at("crc32_data")};
    if (const auto* group = (*node)->as_group()) {
      std::vector<std::string> names = {"codes"};
      if (kind != "categorical") {
        names = {"data", "indices", "indptr"};
        crcs.push_back(row.at("crc32_indices"));
        crcs.push_back(row.at("crc32_indptr"));
      }
      for (const auto& name : names) {
        auto array = group->child(name);
        ASSERT_TRUE(array.ok()) << array.status().message();
        arrays.push_back(*array);
      }
      EXPECT_EQ((*node)->where(), kData + row.at("file") + ": /" + row.at("path"));
    } else {
      arrays.push_back(*node);
    }
    std::string dtypes;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      const auto* array = arrays[i]->as_array();
      ASSERT_NE(array, nullptr);
      dtypes += (i ? "/" : "") + code(array->dtype());
      EXPECT_EQ(crc(*array), crcs[i]) << i;
      if (array->shape().size() == 1 || !array->is_chunked()) {
        EXPECT_EQ(crc_by_ranges(*array), crcs[i]) << i;
      }
    }
    EXPECT_EQ(dtypes, row.at("dtype"));
    const auto* first = arrays[0]->as_array();
    if (kind == "dense" || kind == "categorical") {
      EXPECT_EQ(shape_text(*first), row.at("shape"));
    }
    if (kind != "categorical") {
      EXPECT_EQ(std::to_string(first->size()), row.at("nnz_or_size"));
    }
    ++checked;
  }
  EXPECT_GE(checked, 200u);
  EXPECT_EQ(budget->usage().used, 0u);
}

TEST_F(Hdf5ConformanceTest, EveryObjectOfEveryFile) {
  std::size_t walked = 0;
  for (const Row& row : read_tsv(kData + "MANIFEST.tsv")) {
    const std::string path = kData + row.at("file");
    if (!std::filesystem::is_regular_file(path)) continue;
    SCOPED_TRACE(row.at("file"));
    auto file = open_posix_file(path);
    ASSERT_TRUE(file.ok());
    auto hdf5 = is_hdf5(**file);
    ASSERT_TRUE(hdf5.ok());
    if (!*hdf5) continue;
    const auto budget = MemoryBudget::create(64 << 20);
    auto root = open(path, {.index_budget = budget});
    ASSERT_TRUE(root.ok()) << root.status().message();
    WalkResult result;
    walk(**root, 4 << 20, result);
    for (const auto& message : result.wrong) ADD_FAILURE() << message;
    const bool empty = row.at("file") == "jhdf_test_userblock_latest.hdf5";  // to h5py, too
    EXPECT_EQ(result.arrays + result.attributes + result.unsupported == 0, empty);
    root = Status::internal("done");
    EXPECT_EQ(budget->usage().used, 0u);
    ++walked;
  }
  EXPECT_GE(walked, 50u);
}

TEST_F(Hdf5ConformanceTest, ManyThreadsShareOneFile) {
  for (const std::string name : {"scanpy_pbmc68k_reduced_d53464fb.h5ad", "anndata_v0.7.0_adata.h5ad"}) {
    auto root = open(kData + name, {.index_budget = MemoryBudget::create(256 << 20)});
    ASSERT_TRUE(root.ok());
    std::vector<WalkResult> results(4);
    std::vector<std::thread> threads;
    for (auto& result : results) threads.emplace_back([&] { walk(**root, 16 << 20, result); });
    for (auto& thread : threads) thread.join();
    for (const auto& result : results) {
      EXPECT_TRUE(result.wrong.empty());
      EXPECT_GT(result.arrays, 20u);
      EXPECT_EQ(result.bytes, results[0].bytes);
      EXPECT_EQ(result.attributes, results[0].attributes);
    }
  }
}

}  // namespace
}  // namespace penstock::hdf5
