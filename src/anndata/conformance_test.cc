// Real files of ../shared/data against EXPECTED.tsv: every CSR matrix decodes to the stored rows, at any
// ranges, resident or not; every other matrix is refused by name; every categorical column has the expected
// codes.
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <iomanip>
#include <map>
#include <random>
#include <sstream>

#include "anndata/column_reader.h"
#include "anndata/frame.h"
#include "anndata/matrices.h"
#include "anndata/testing/csr_reader.h"
#include "hdf5/hdf5.h"

namespace penstock::anndata {
namespace {

using penstock::testing::read_rows;

const std::filesystem::path kData = "../shared/data";

using Expected = std::map<std::string, std::string>;

std::vector<Expected> load_expected() {
  std::ifstream in(kData / "EXPECTED.tsv");
  std::vector<Expected> rows;
  std::vector<std::string> header;
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string> fields;
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, '\t');) fields.push_back(cell);
    if (header.empty()) {
      header = fields;
      continue;
    }
    Expected row;
    for (std::size_t i = 0; i < header.size(); ++i) row[header[i]] = i < fields.size() ? fields[i] : "";
    if (row["file"].ends_with(".h5ad")) rows.push_back(row);
  }
  return rows;
}

std::string crc_of(const std::vector<std::byte>& bytes) {
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()));
  std::ostringstream out;
  out << std::hex << std::setw(8) << std::setfill('0') << crc;
  return out.str();
}

// "<f4" -> float32.
std::string numpy_name(std::string code) {
  const std::string width = std::to_string(8 * std::stoi(code.substr(2)));
  return (code[1] == 'f' ? "float" : code[1] == 'u' ? "uint" : "int") + width;
}

std::shared_ptr<const store::Group> open_root(const std::string& file,
                                              const std::shared_ptr<MemoryBudget>& budget) {
  store::OpenLimits limits;
  limits.index_budget = budget;
  auto root = hdf5::open(kData / file, limits);
  EXPECT_TRUE(root.ok()) << root.status().to_string();
  return root.ok() ? root.value() : nullptr;
}

// The rows of [first, last) as the arrays have them.
void expect_same(const RowSource& source, const std::vector<RowRange>& wanted,
                 const std::vector<std::byte>& data, const std::vector<std::byte>& indices,
                 const std::vector<std::int64_t>& indptr) {
  const auto result = read_rows(source, wanted);
  ASSERT_TRUE(result.status.ok()) << result.status.to_string();
  const std::size_t item = numeric_size(source.traits().value_type),
                    id = numeric_size(source.traits().index_type);
  std::size_t at = 0;
  for (const RowRange& range : wanted) {
    for (RowIndex row = range.first; row < range.last; ++row, ++at) {
      ASSERT_EQ(result.rows[at].first, row);
      const auto begin = static_cast<std::size_t>(indptr[row]),
                 end = static_cast<std::size_t>(indptr[row + 1]);
      const auto& got = result.rows[at].second;
      ASSERT_EQ(got.values.size(), (end - begin) * item);
      if (begin == end) continue;
      ASSERT_EQ(std::memcmp(got.values.data(), data.data() + begin * item, got.values.size()), 0)
          << "row " << row;
      std::vector<std::int64_t> ids(end - begin);
      to_int64(source.traits().index_type, indices.data() + begin * id, ids);
      ASSERT_EQ(got.indices, ids) << "row " << row;
    }
  }
  ASSERT_EQ(at, result.rows.size());
}

void check_csr(const store::Group& root, Expected& expected, MemoryBudget& budget) {
  auto parts = open_csr(root, expected["path"]);
  ASSERT_TRUE(parts.ok()) << parts.status().to_string();
  EXPECT_EQ(std::to_string(parts->n_rows) + "x" + std::to_string(parts->n_cols), expected["shape"]);
  EXPECT_EQ(std::to_string(parts->data->size()), expected["nnz_or_size"]);
  const std::string dtype = expected["dtype"];
  EXPECT_EQ(numeric_name(parts->data->dtype().number), numpy_name(dtype.substr(0, 3)));
  EXPECT_EQ(numeric_name(parts->indices->dtype().number), numpy_name(dtype.substr(4, 3)));

  const auto data = parts->data->read_all(1 << 30), indices = parts->indices->read_all(1 << 30),
             raw_indptr = parts->indptr->read_all(1 << 30);
  ASSERT_TRUE(data.ok() && indices.ok() && raw_indptr.ok());
  EXPECT_EQ(crc_of(*data), expected["crc32_data"]);
  EXPECT_EQ(crc_of(*indices), expected["crc32_indices"]);
  EXPECT_EQ(crc_of(*raw_indptr), expected["crc32_indptr"]);
  std::vector<std::int64_t> indptr(parts->indptr->size());
  to_int64(parts->indptr->dtype().number, raw_indptr->data(), indptr);

  const auto opened = CsrSource::open(*parts, budget);
  ASSERT_TRUE(opened.ok()) << opened.status().to_string();
  const auto resident = (*opened)->resident(budget);
  ASSERT_TRUE(resident.ok());
  const RowIndex n = parts->n_rows;
  std::mt19937_64 random(n);
  for (const RowSource* source : {static_cast<const RowSource*>(opened->get()), resident->get()}) {
    for (const RowIndex block : {RowIndex{1}, RowIndex{7}, RowIndex{64}, n}) {
      // Blocks of one row are many: a part of the file shows as much.
      for (RowIndex first = 0; first < std::min<RowIndex>(n, 40 * block); first += block) {
        expect_same(*source, {{first, std::min(n, first + block)}}, *data, *indices, indptr);
      }
    }
    for (RowIndex row = 0; row < n;) {  // blocks as the planner cuts them
      const RowIndex next = source->cut(row, 50);
      ASSERT_GT(next, row);
      expect_same(*source, {{row, next}}, *data, *indices, indptr);
      row = next;
    }
    for (int i = 0; i < 50; ++i) {
      std::vector<RowRange> wanted;
      for (RowIndex row = random() % n; row < n && wanted.size() < 20; row += 1 + random() % 40) {
        const RowIndex last = std::min(n, row + 1 + random() % 20);
        wanted.push_back({row, last});
        row = last;
      }
      expect_same(*source, wanted, *data, *indices, indptr);
    }
  }
}

void check_refused(const store::Group& root, Expected& expected) {
  const std::string name = expected["path"] == "raw.X" ? "raw/X" : expected["path"];
  const auto parts = open_csr(root, name);
  ASSERT_FALSE(parts.ok());
  const std::string message = parts.status().message();
  if (expected["path"] == "raw.X") {  // a link of that name is no raw group
    EXPECT_EQ(parts.status().code(), StatusCode::not_found) << message;
    return;
  }
  EXPECT_EQ(parts.status().code(), StatusCode::unsupported) << message;
  EXPECT_NE(message.find("/" + name), std::string::npos) << message;
  const char* what = expected["kind"] == "dense" ? "dense"
                     : expected["kind"] == "csr" ? "h5sparse_format"
                                                 : "CSC";
  EXPECT_NE(message.find(what), std::string::npos) << message;
}

TEST(AnnDataConformance, MatricesOfRealFiles) {
  if (!std::filesystem::exists(kData / "EXPECTED.tsv")) GTEST_SKIP() << "no " << kData;
  int csr = 0, refused = 0;
  for (Expected& expected : load_expected()) {
    if (expected["kind"] == "categorical") continue;
    SCOPED_TRACE(expected["file"] + " " + expected["path"]);
    const auto budget = MemoryBudget::create(512'000'000);
    const auto root = open_root(expected["file"], budget);
    ASSERT_NE(root, nullptr);
    if (expected["kind"] == "csr_matrix") {
      check_csr(*root, expected, *budget);
      ++csr;
    } else {
      check_refused(*root, expected);
      ++refused;
    }
  }
  EXPECT_EQ(csr, 21);
  EXPECT_GT(refused, 20);
}

TEST(AnnDataConformance, CategoricalsOfRealFiles) {
  if (!std::filesystem::exists(kData / "EXPECTED.tsv")) GTEST_SKIP() << "no " << kData;
  int checked = 0, legacy = 0;
  for (Expected& expected : load_expected()) {
    if (expected["kind"] != "categorical") continue;
    SCOPED_TRACE(expected["file"] + " " + expected["path"]);
    const auto budget = MemoryBudget::create(512'000'000);
    const auto root = open_root(expected["file"], budget);
    ASSERT_NE(root, nullptr);
    const auto obs = root->child("obs");
    ASSERT_TRUE(obs.ok()) << obs.status().to_string();
    const auto frame = Frame::open(*obs);
    if (!frame.ok()) {
      EXPECT_EQ(frame.status().code(), StatusCode::unsupported) << frame.status().message();
      ++legacy;
      continue;
    }
    const auto column = frame->column(expected["path"].substr(4));
    ASSERT_TRUE(column.ok()) << column.status().to_string();
    ASSERT_EQ(column->encoding, FrameColumn::Encoding::categorical);
    EXPECT_EQ(std::to_string(column->size()), expected["shape"]);
    const auto codes = column->values->read_all(1 << 30);
    ASSERT_TRUE(codes.ok());
    EXPECT_EQ(crc_of(*codes), expected["crc32_data"]);
    const auto list = read_categories(*column, *budget);
    ASSERT_TRUE(list.ok()) << list.status().to_string();
    EXPECT_EQ(std::to_string((*list)->names.size()), expected["nnz_or_size"]);
    EXPECT_TRUE(anndata::read_rows(*column, 0, column->size(), (*list)->names.size()).ok());
    ++checked;
  }
  EXPECT_GT(checked, 150);
  EXPECT_LT(legacy, 20);
}

}  // namespace
}  // namespace penstock::anndata
