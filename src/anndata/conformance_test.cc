// Real files of ../shared/data against EXPECTED.tsv: every CSR and every dense matrix decodes to the stored
// rows, at any ranges, resident or not, and every CSC matrix in a pass; every categorical column has the
// expected codes.
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <iomanip>
#include <map>
#include <random>
#include <sstream>

#include "anndata/anndata_file.h"
#include "anndata/attributes.h"
#include "anndata/column_reader.h"
#include "anndata/frame.h"
#include "anndata/matrices.h"
#include "anndata/testing/csr_reader.h"
#include "hdf5/hdf5.h"
#include "memory/reserved_buffer.h"
#include "source/column_pass.h"

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

// As Penstock calls it.
std::string matrix_name(Expected& expected) {
  return expected["path"] == "raw.X" ? "raw/X" : expected["path"];
}

void check_csr(const store::Group& root, Expected& expected, MemoryBudget& budget) {
  auto parts = open_csr(root, matrix_name(expected));
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

// Every value, in the file's order.
class DenseKeeper final : public RowSink {
 public:
  DenseKeeper(ColIndex cols, std::size_t item) : cols_(cols), item_(item) {}
  Status csr(const CsrTile& tile) override {
    for (std::size_t r = 0; r < tile.rows.size(); ++r) {
      const std::size_t row = values.size();
      values.resize(row + cols_ * item_);
      for (std::uint64_t i = tile.begins[r]; i < tile.ends[r]; ++i) {
        std::vector<std::int64_t> id(1);
        to_int64(tile.index_type, tile.indices + i * numeric_size(tile.index_type), id);
        std::memcpy(values.data() + row + static_cast<std::size_t>(id[0]) * item_, tile.values + i * item_,
                    item_);
      }
    }
    return {};
  }
  std::vector<std::byte> values;

 private:
  const ColIndex cols_;
  const std::size_t item_;
};

void check_dense(const store::Group& root, Expected& expected, MemoryBudget& budget) {
  const auto opened = open_matrix(root, matrix_name(expected), budget);
  ASSERT_TRUE(opened.ok()) << opened.status().to_string();
  const RowSource& source = *opened->rows;
  const SourceTraits& t = source.traits();
  EXPECT_EQ(std::to_string(t.n_rows) + "x" + std::to_string(t.n_cols), expected["shape"]);
  EXPECT_EQ(numeric_name(t.value_type), numpy_name(expected["dtype"]));
  DenseKeeper whole(t.n_cols, numeric_size(t.value_type));
  for (RowIndex row = 0; row < t.n_rows;) {  // blocks as the planner cuts them
    const RowIndex next = source.cut(row, 50);
    ASSERT_GT(next, row);
    const auto result = read_rows(source, {{row, next}}, Heads::estimated, 0, &whole);
    ASSERT_TRUE(result.status.ok()) << result.status.to_string();
    row = next;
  }
  // The file's values are those of the oracle, and the source's are the file's; -0.0 alone comes as 0.
  auto stored = *opened->values->read_all(1 << 30);
  EXPECT_EQ(crc_of(stored), expected["crc32_data"]);
  const std::size_t item = numeric_size(t.value_type);
  for (std::size_t at = 0; is_floating(t.value_type) && at < stored.size(); at += item) {
    std::byte* const value = stored.data() + at;
    const bool only_sign =
        value[item - 1] == std::byte{0x80} &&
        std::all_of(value, value + item - 1, [](std::byte b) { return b == std::byte{0}; });
    if (only_sign) value[item - 1] = std::byte{0};
  }
  EXPECT_EQ(crc_of(whole.values), crc_of(stored));
  std::mt19937_64 random(t.n_rows);
  for (int i = 0; i < 5 && t.n_rows > 0; ++i) {
    const RowIndex row = random() % t.n_rows;
    DenseKeeper one(t.n_cols, numeric_size(t.value_type));
    ASSERT_TRUE(read_rows(source, {{row, row + 1}}, Heads::estimated, 0, &one).status.ok());
    EXPECT_EQ(
        std::memcmp(one.values.data(), whole.values.data() + row * one.values.size(), one.values.size()), 0);
  }
}

void check_csc(const store::Group& root, Expected& expected, MemoryBudget& budget) {
  const auto node = root.child(matrix_name(expected));
  ASSERT_TRUE(node.ok()) << node.status().to_string();
  const store::Group& group = *(*node)->as_group();
  const auto data = array_child(group, "data"), indices = array_child(group, "indices"),
             indptr = array_child(group, "indptr");
  ASSERT_TRUE(data.ok() && indices.ok() && indptr.ok());
  const auto raw_data = (*data)->read_all(1 << 30), raw_indices = (*indices)->read_all(1 << 30),
             raw_indptr = (*indptr)->read_all(1 << 30);
  ASSERT_TRUE(raw_data.ok() && raw_indices.ok() && raw_indptr.ok());
  EXPECT_EQ(crc_of(*raw_data), expected["crc32_data"]);
  EXPECT_EQ(crc_of(*raw_indices), expected["crc32_indices"]);
  EXPECT_EQ(crc_of(*raw_indptr), expected["crc32_indptr"]);
  std::vector<std::int64_t> row_of((*indices)->size()), begins((*indptr)->size());
  to_int64((*indices)->dtype().number, raw_indices->data(), row_of);
  to_int64((*indptr)->dtype().number, raw_indptr->data(), begins);
  const std::size_t item = (*data)->dtype().size;

  const auto opened = open_matrix(root, matrix_name(expected), budget);
  ASSERT_TRUE(opened.ok()) << opened.status().to_string();
  const RowSource& source = *opened->rows;
  const SourceTraits& t = source.traits();
  EXPECT_EQ(std::to_string(t.n_rows) + "x" + std::to_string(t.n_cols), expected["shape"]);
  ASSERT_NE(source.by_columns(), nullptr);
  const ColumnMajor& columns = *source.by_columns();
  std::vector<std::uint32_t> next(t.n_rows), ids(row_of.size() + 1);
  std::vector<std::uint64_t> values(row_of.size() + 1);
  TurnedRows turned({0, t.n_rows}, next.data(), reinterpret_cast<std::byte*>(ids.data()),
                    reinterpret_cast<std::byte*>(values.data()), row_of.size());
  turned.want({0, t.n_rows});
  ASSERT_EQ(turned.lay_out(columns.row_lengths()), row_of.size());
  ColumnPass pass(columns, turned);
  ReservedBuffer memory("pass", &budget, MemoryTag::scratch);
  ASSERT_TRUE(memory.grow_to(ColumnPass::bytes_needed(columns)).ok());
  RequestList list;
  CodecContext codec;
  pass.work(memory.bytes(), list, codec);
  const Status status = pass.finish();
  ASSERT_TRUE(status.ok()) << status.to_string();
  penstock::testing::RowKeeper keeper;
  Scratch scratch;
  scratch.turned = &turned;
  const RowRange all{0, t.n_rows};
  ASSERT_TRUE(source.decode({&all, 1}, Fetched({}, nullptr), scratch, keeper).ok());
  ASSERT_EQ(keeper.rows.size(), t.n_rows);
  std::vector<penstock::testing::Row> wanted(t.n_rows);
  for (std::size_t c = 0; c + 1 < begins.size(); ++c) {
    for (auto i = static_cast<std::size_t>(begins[c]); i < static_cast<std::size_t>(begins[c + 1]); ++i) {
      penstock::testing::Row& row = wanted[static_cast<std::size_t>(row_of[i])];
      row.indices.push_back(static_cast<std::int64_t>(c));
      const auto at = raw_data->begin() + static_cast<std::ptrdiff_t>(i * item);
      row.values.insert(row.values.end(), at, at + static_cast<std::ptrdiff_t>(item));
    }
  }
  for (RowIndex row = 0; row < t.n_rows; ++row) ASSERT_EQ(keeper.rows[row].second, wanted[row]) << row;
}

TEST(AnnDataConformance, MatricesOfRealFiles) {
  if (!std::filesystem::exists(kData / "EXPECTED.tsv")) GTEST_SKIP() << "no " << kData;
  int csr = 0, dense = 0, csc = 0;
  for (Expected& expected : load_expected()) {
    if (expected["kind"] == "categorical") continue;
    SCOPED_TRACE(expected["file"] + " " + expected["path"]);
    const auto budget = MemoryBudget::create(512'000'000);
    const auto root = open_root(expected["file"], budget);
    ASSERT_NE(root, nullptr);
    if (expected["kind"] == "csr_matrix" || expected["kind"] == "csr") {
      check_csr(*root, expected, *budget);
      ++csr;
    } else if (expected["kind"] == "dense") {
      check_dense(*root, expected, *budget);
      ++dense;
    } else {
      check_csc(*root, expected, *budget);
      ++csc;
    }
  }
  EXPECT_GT(csr, 21);
  EXPECT_GT(dense, 15);
  EXPECT_GT(csc, 3);
}

TEST(AnnDataConformance, CategoricalsOfRealFiles) {
  if (!std::filesystem::exists(kData / "EXPECTED.tsv")) GTEST_SKIP() << "no " << kData;
  int checked = 0;
  for (Expected& expected : load_expected()) {
    if (expected["kind"] != "categorical") continue;
    SCOPED_TRACE(expected["file"] + " " + expected["path"]);
    const auto budget = MemoryBudget::create(512'000'000);
    const auto root = open_root(expected["file"], budget);
    ASSERT_NE(root, nullptr);
    const auto obs = root->child("obs");
    ASSERT_TRUE(obs.ok()) << obs.status().to_string();
    const auto uns = open_uns(*root);
    ASSERT_TRUE(uns.ok());
    const auto frame = Frame::open(*obs, *uns);
    ASSERT_TRUE(frame.ok()) << frame.status().to_string();
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
}

}  // namespace
}  // namespace penstock::anndata
