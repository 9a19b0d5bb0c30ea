#include "anndata/csc_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <thread>

#include "anndata/testing/csr_reader.h"
#include "anndata/testing/memory_array.h"
#include "source/column_pass.h"

namespace penstock::anndata {
namespace {

using penstock::testing::ArrayOptions;
using penstock::testing::MemoryArray;
using penstock::testing::Row;
using penstock::testing::RowKeeper;
using penstock::testing::to_bytes;
using ::testing::HasSubstr;

// A matrix as three vectors by columns, and what its rows are.
struct Matrix {
  std::uint64_t n_rows = 0;
  std::vector<float> data;
  std::vector<std::int32_t> indices;
  std::vector<std::int64_t> indptr{0};

  std::uint64_t n_cols() const { return indptr.size() - 1; }
  void add_column(const std::vector<std::int32_t>& rows) {
    for (const std::int32_t row : rows) {
      indices.push_back(row);
      data.push_back(static_cast<float>(data.size() + 1));
    }
    indptr.push_back(static_cast<std::int64_t>(data.size()));
  }
  Row row(RowIndex wanted) const {
    Row out;
    for (std::uint64_t c = 0; c < n_cols(); ++c) {
      for (std::int64_t i = indptr[c]; i < indptr[c + 1]; ++i) {
        if (static_cast<RowIndex>(indices[static_cast<std::size_t>(i)]) != wanted) continue;
        out.indices.push_back(static_cast<std::int64_t>(c));
        const auto bytes = to_bytes(std::vector<float>{data[static_cast<std::size_t>(i)]});
        out.values.insert(out.values.end(), bytes.begin(), bytes.end());
      }
    }
    return out;
  }
};

struct Grids {
  std::uint64_t data = 0, indices = 0, indptr = 0;
  bool deflate = false;
};

CscParts parts_of(const Matrix& m, const Grids& grids) {
  return {std::make_shared<MemoryArray>(NumericType::f32, to_bytes(m.data),
                                        ArrayOptions{grids.data, grids.deflate, "/X/data"}),
          std::make_shared<MemoryArray>(NumericType::i32, to_bytes(m.indices),
                                        ArrayOptions{grids.indices, grids.deflate, "/X/indices"}),
          std::make_shared<MemoryArray>(NumericType::i64, to_bytes(m.indptr),
                                        ArrayOptions{grids.indptr, grids.deflate, "/X/indptr"}),
          m.n_rows,
          m.n_cols(),
          "memory: X"};
}

std::shared_ptr<MemoryBudget> ample() { return MemoryBudget::create(100'000'000); }

// The rows of one pass by so many threads, each with exactly the memory that it is said to need.
Status turn(const CscSource& source, const std::vector<RowRange>& wanted, int threads,
            std::vector<std::pair<RowIndex, Row>>* out, ColumnPass::Counts* counts = nullptr) {
  const RowRange all{wanted.front().first, wanted.back().last};
  std::vector<std::uint32_t> next(all.size());
  TurnedRows rows(all, next.data(), nullptr, nullptr, 0);
  rows.clear();
  for (const RowRange& range : wanted) rows.want(range);
  const std::uint64_t entries = rows.lay_out(source.row_lengths());
  std::vector<std::uint32_t> ids(entries + 1);
  std::vector<std::uint64_t> values(entries + 1);
  rows = TurnedRows(all, next.data(), reinterpret_cast<std::byte*>(ids.data()),
                    reinterpret_cast<std::byte*>(values.data()), entries);
  ColumnPass pass(source, rows);
  const auto work = [&] {
    const ByteCount bytes = (ColumnPass::bytes_needed(source) + 63) / 64 * 64;
    const std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(64, bytes + 64), &std::free);
    RequestList list;
    CodecContext codec;
    pass.work({static_cast<std::byte*>(memory.get()), bytes}, list, codec);
  };
  std::vector<std::thread> helpers;
  for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  PENSTOCK_RETURN_IF_ERROR(pass.finish());
  if (counts != nullptr) *counts = pass.counts();
  RowKeeper keeper;
  Scratch scratch;
  scratch.turned = &rows;
  PENSTOCK_RETURN_IF_ERROR(source.decode(wanted, Fetched({}, nullptr), scratch, keeper));
  *out = std::move(keeper.rows);
  return {};
}

void check(const Matrix& m, const Grids& grids, std::mt19937_64& random) {
  SCOPED_TRACE(::testing::Message() << "grids " << grids.data << " " << grids.indices << " " << grids.indptr
                                    << " " << grids.deflate);
  const auto budget = ample();
  const auto opened = CscSource::open(parts_of(m, grids), *budget);
  ASSERT_TRUE(opened.ok()) << opened.status().to_string();
  const CscSource& source = **opened;
  std::vector<std::uint32_t> lengths;
  std::vector<Row> rows;
  for (RowIndex row = 0; row < m.n_rows; ++row) {
    rows.push_back(m.row(row));
    lengths.push_back(static_cast<std::uint32_t>(rows.back().indices.size()));
  }
  EXPECT_THAT(source.row_lengths(), ::testing::ElementsAreArray(lengths));
  EXPECT_EQ(source.traits().lengths.entries, m.data.size());
  EXPECT_EQ(source.most_entries({0, m.n_rows}), m.data.size());
  if (m.n_rows == 0) return;
  std::vector<std::vector<RowRange>> lists{{{0, m.n_rows}}, {{m.n_rows - 1, m.n_rows}}};
  std::vector<RowRange> some;
  for (RowIndex row = random() % 3; row < m.n_rows; row += 1 + random() % 4) some.push_back({row, row + 1});
  if (!some.empty()) lists.push_back(some);
  for (const auto& wanted : lists) {
    for (const int threads : {1, 3}) {
      std::vector<std::pair<RowIndex, Row>> got;
      ColumnPass::Counts counts;
      const Status status = turn(source, wanted, threads, &got, &counts);
      ASSERT_TRUE(status.ok()) << status.to_string();
      std::size_t at = 0;
      for (const RowRange& range : wanted) {
        for (RowIndex row = range.first; row < range.last; ++row, ++at) {
          ASSERT_EQ(got[at].first, row);
          ASSERT_EQ(got[at].second, rows[row]) << "row " << row;
        }
      }
      ASSERT_EQ(at, got.size());
      EXPECT_EQ(counts.bytes, source.pass_cost().stored);
      EXPECT_EQ(counts.requests, source.pass_cost().requests);
    }
  }
  // By itself, without a pass that somebody else has made.
  const auto alone = penstock::testing::read_rows(source, {{m.n_rows / 2, m.n_rows / 2 + 1}}, Heads::whole);
  ASSERT_TRUE(alone.status.ok()) << alone.status.to_string();
  EXPECT_EQ(alone.rows.at(0).second, rows[m.n_rows / 2]);
  EXPECT_EQ(alone.decoded, source.pass_cost().decoded);
}

const std::vector<Grids> kGrids{
    {64, 64, 16},     {64, 64, 16, true},    {100, 37, 1000, true},      {1, 3, 1}, {0, 0, 0}, {50, 0, 7},
    {0, 50, 0, true}, {100'000, 100'000, 9}, {1 << 14, 1 << 10, 5, true}};

TEST(CscSource, RowsAreTheFilesRows) {
  std::mt19937_64 random(12345);
  for (int round = 0; round < 4; ++round) {
    Matrix m;
    m.n_rows = 1 + random() % 60;
    const std::uint64_t columns = 1 + random() % 200;
    for (std::uint64_t c = 0; c < columns; ++c) {
      std::vector<std::int32_t> rows(m.n_rows);
      std::iota(rows.begin(), rows.end(), 0);
      // Unsorted, some columns empty; no row of the last ones in it, so that there are empty rows.
      std::shuffle(rows.begin(), rows.end(), random);
      rows.resize(random() % 3 == 0 ? 0 : random() % (m.n_rows + 1));
      std::erase_if(rows, [&](std::int32_t row) { return row % 7 == 3; });
      m.add_column(rows);
    }
    for (const Grids& grids : kGrids) check(m, grids, random);
  }
}

TEST(CscSource, NothingStored) {
  std::mt19937_64 random(1);
  Matrix empty;
  empty.n_rows = 10;
  for (int c = 0; c < 5; ++c) empty.add_column({});
  Matrix no_rows;
  no_rows.add_column({});
  Matrix no_columns;
  no_columns.n_rows = 3;
  for (const Matrix& m : {empty, no_rows, no_columns, Matrix()}) {
    for (const Grids& grids : kGrids) check(m, grids, random);
  }
}

// More elements than a part has, columns that lie over the edges of parts, and runs of empty ones.
TEST(CscSource, ColumnsOverManyParts) {
  std::mt19937_64 random(2);
  Matrix m;
  m.n_rows = 20'000;
  for (int c = 0; c < 900; ++c) {
    std::vector<std::int32_t> rows;
    if (c < 10 || c % 400 == 0) {
      for (std::int32_t row = c; row < 20'000; row += 1 + c % 2) rows.push_back(row);
    }
    m.add_column(rows);
  }
  for (const Grids& grids : {Grids{1000, 1000, 100, true}, Grids{0, 0, 0}, Grids{3000, 700, 64, true}}) {
    const auto budget = ample();
    const auto opened = CscSource::open(parts_of(m, grids), *budget);
    ASSERT_TRUE(opened.ok()) << opened.status().to_string();
    EXPECT_GT((*opened)->n_parts(), 2u);
    std::vector<std::pair<RowIndex, Row>> got;
    const Status status = turn(**opened, {{0, 5}, {19'990, 20'000}}, 4, &got);
    ASSERT_TRUE(status.ok()) << status.to_string();
    ASSERT_EQ(got.size(), 15u);
    for (const auto& [row, is] : got) EXPECT_EQ(is, m.row(row)) << "row " << row;
  }
}

// The same row twice in a column: both come, in the order of the file.
TEST(CscSource, RepeatedRows) {
  std::mt19937_64 random(3);
  Matrix m;
  m.n_rows = 4;
  m.add_column({2, 1, 2, 2});
  m.add_column({});
  m.add_column({2, 0});
  for (const Grids& grids : kGrids) check(m, grids, random);
}

TEST(CscSource, AllTypes) {
  const auto budget = ample();
  const auto check_types = [&]<class I, class P>(NumericType index_type, NumericType offset_type, I, P) {
    CscParts parts;
    parts.data = std::make_shared<MemoryArray>(
        NumericType::u8, to_bytes(std::vector<std::uint8_t>{1, 2, 3, 4}), ArrayOptions{2});
    parts.indices =
        std::make_shared<MemoryArray>(index_type, to_bytes(std::vector<I>{5, 3, 0, 5}), ArrayOptions{3});
    parts.indptr =
        std::make_shared<MemoryArray>(offset_type, to_bytes(std::vector<P>{0, 1, 1, 4}), ArrayOptions{2});
    parts.n_rows = 6;
    parts.n_cols = 3;
    const auto source = CscSource::open(parts, *budget);
    ASSERT_TRUE(source.ok()) << source.status().to_string();
    std::vector<std::pair<RowIndex, Row>> got;
    ASSERT_TRUE(turn(**source, {{0, 6}}, 1, &got).ok());
    EXPECT_THAT(got[5].second.indices, ::testing::ElementsAre(0, 2));
    EXPECT_THAT(got[5].second.values, ::testing::ElementsAre(std::byte{1}, std::byte{4}));
    EXPECT_TRUE(got[1].second.indices.empty());
  };
  const auto with_offsets = [&]<class I>(NumericType type, I zero) {
    check_types(type, NumericType::i32, zero, std::int32_t{});
    check_types(type, NumericType::u64, zero, std::uint64_t{});
  };
  with_offsets(NumericType::i8, std::int8_t{});
  with_offsets(NumericType::u8, std::uint8_t{});
  with_offsets(NumericType::i16, std::int16_t{});
  with_offsets(NumericType::u32, std::uint32_t{});
  with_offsets(NumericType::i64, std::int64_t{});
  with_offsets(NumericType::u64, std::uint64_t{});
}

TEST(CscSource, DamageIsNamed) {
  const auto budget = ample();
  const auto status = [&](CscParts parts) { return CscSource::open(std::move(parts), *budget).status(); };
  Matrix good;
  good.n_rows = 5;
  good.add_column({0, 4});
  good.add_column({});
  good.add_column({1, 2, 3});
  ASSERT_TRUE(status(parts_of(good, {2, 2, 2})).ok());

  for (const std::int32_t row : {5, -1, 1'000'000}) {
    Matrix m = good;
    m.indices[3] = row;
    const Status bad = status(parts_of(m, {2, 2, 2}));
    EXPECT_EQ(bad.code(), StatusCode::corrupt);
    EXPECT_EQ(bad.message(), "memory: /X/indices: element 3, of column 2: row number outside [0, 5)");
  }
  Matrix falling = good;
  falling.indptr = {0, 3, 2, 5};
  EXPECT_THAT(status(parts_of(falling, {2, 2, 2})).message(),
              HasSubstr("the offset of column 2 is smaller than the one before it (3)"));
  Matrix beyond = good;
  beyond.indptr = {0, 2, 2, 6};
  EXPECT_THAT(status(parts_of(beyond, {2, 2, 2})).message(),
              HasSubstr("the offset of column 3 is 6, but data and indices have 5 elements"));
  Matrix late = good;
  late.indptr = {1, 2, 2, 5};
  EXPECT_THAT(status(parts_of(late, {2, 2, 2})).message(), HasSubstr("the offset of column 0 is 1"));
  Matrix less = good;
  less.indices.pop_back();
  EXPECT_THAT(status(parts_of(less, {2, 2, 2})).message(), HasSubstr("data has 5 elements and indices 4"));
  CscParts wide = parts_of(good, {2, 2, 2});
  ++wide.n_cols;
  EXPECT_THAT(status(wide).message(), HasSubstr("indptr has 4 elements, expected 5 (columns + 1)"));
  CscParts many = parts_of(good, {2, 2, 2});
  many.n_rows = std::uint64_t{1} << 32;
  EXPECT_EQ(status(many).code(), StatusCode::unsupported);
  // More rows than the budget has room to count.
  many.n_rows = 1'000'000'000;
  EXPECT_EQ(status(many).code(), StatusCode::budget);
  EXPECT_EQ(budget->usage().used, 0u);
}

// Chunks that cannot be decoded, and a file that has other rows than it had when it was opened.
TEST(CscSource, APassThatFailsSaysWhy) {
  const auto budget = ample();
  Matrix m;
  m.n_rows = 5;
  m.add_column({0, 4, 1, 2});
  m.add_column({1, 2, 3, 0});
  auto parts = parts_of(m, {4, 4, 3, true});
  const auto data =
      std::make_shared<MemoryArray>(NumericType::f32, to_bytes(m.data), ArrayOptions{4, true, "/X/data"});
  data->damage(1);
  parts.data = data;
  const auto source = CscSource::open(parts, *budget);
  ASSERT_TRUE(source.ok()) << source.status().to_string();
  for (const int threads : {1, 4}) {
    std::vector<std::pair<RowIndex, Row>> got;
    const Status status = turn(**source, {{0, 5}}, threads, &got);
    EXPECT_EQ(status.code(), StatusCode::corrupt);
    EXPECT_THAT(status.message(), HasSubstr("/X/data chunk 1"));
  }
  const auto indices = std::make_shared<MemoryArray>(NumericType::i32, to_bytes(m.indices),
                                                     ArrayOptions{4, true, "/X/indices"});
  parts = parts_of(m, {4, 4, 3, true});
  parts.indices = indices;
  const auto changed = CscSource::open(parts, *budget);
  ASSERT_TRUE(changed.ok());
  indices->drop_chunk(1);  // row 0 four times
  std::vector<std::pair<RowIndex, Row>> got;
  const Status status = turn(**changed, {{0, 5}}, 2, &got);
  EXPECT_EQ(status.code(), StatusCode::io_error);
  EXPECT_THAT(status.message(), HasSubstr("changed since the file was opened"));
}

TEST(CscSource, APassCanBeCancelled) {
  const auto budget = ample();
  Matrix m;
  m.n_rows = 5;
  m.add_column({0, 4, 1, 2});
  const auto source = CscSource::open(parts_of(m, {4, 4, 3, true}), *budget);
  ASSERT_TRUE(source.ok());
  TurnedRows rows;
  ColumnPass pass(**source, rows);
  EXPECT_TRUE(pass.has_parts());
  pass.cancel();
  EXPECT_FALSE(pass.has_parts());
  RequestList list;
  CodecContext codec;
  pass.work({}, list, codec);
  EXPECT_EQ(pass.finish().code(), StatusCode::cancelled);
}

}  // namespace
}  // namespace penstock::anndata
