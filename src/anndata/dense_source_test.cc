#include "anndata/dense_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "anndata/testing/csr_reader.h"
#include "anndata/testing/memory_array.h"
#include "source/column_map.h"
#include "source/mapped_source.h"

namespace penstock::anndata {
namespace {

using penstock::testing::MemoryArray;
using penstock::testing::read_rows;
using penstock::testing::to_bytes;
using ::testing::HasSubstr;

std::shared_ptr<MemoryBudget> ample() { return MemoryBudget::create(1'000'000'000); }

// Rows x columns, most of them zero.
struct Matrix {
  std::uint64_t rows = 0, cols = 0;
  std::vector<float> values;

  float at(RowIndex row, ColIndex col) const { return values[row * cols + col]; }
};

Matrix make_matrix(std::uint64_t rows, std::uint64_t cols, std::mt19937_64& random) {
  Matrix m{rows, cols, std::vector<float>(rows * cols)};
  for (float& value : m.values) {
    const auto dice = random() % 40;
    if (dice < 10) value = static_cast<float>(1 + random() % 1000);
    if (dice == 10) value = std::numeric_limits<float>::quiet_NaN();
    if (dice == 11) value = -0.0f;
  }
  return m;
}

std::shared_ptr<const DenseSource> open(const Matrix& m, std::uint64_t chunk_rows, std::uint64_t chunk_cols,
                                        bool deflate = false) {
  auto source = DenseSource::open(
      MemoryArray::matrix(NumericType::f32, to_bytes(m.values), m.cols, chunk_rows, chunk_cols, deflate),
      "memory: X", *ample());
  EXPECT_TRUE(source.ok()) << source.status().to_string();
  return *source;
}

// What a plain loop keeps of a row: everything but zeros, of either sign.
testing::Row plain(const Matrix& m, RowIndex row) {
  testing::Row out;
  std::vector<float> kept;
  for (ColIndex c = 0; c < m.cols; ++c) {
    if (m.at(row, c) == 0) continue;
    out.indices.push_back(static_cast<std::int64_t>(c));
    kept.push_back(m.at(row, c));
  }
  out.values = to_bytes(kept);
  return out;
}

void expect_rows(const RowSource& source, const Matrix& m, const std::vector<RowRange>& wanted,
                 ByteCount scratch = 0) {
  const auto result = read_rows(source, wanted, Heads::estimated, scratch);
  ASSERT_TRUE(result.status.ok()) << result.status.to_string();
  if (scratch == 0) EXPECT_EQ(source.cost(wanted).decoded, result.decoded);
  std::size_t at = 0;
  std::uint64_t zeros = 0;
  for (const RowRange& range : wanted) {
    for (RowIndex row = range.first; row < range.last; ++row, ++at) {
      ASSERT_LT(at, result.rows.size());
      ASSERT_EQ(result.rows[at].first, row);
      const testing::Row expected = plain(m, row);
      ASSERT_EQ(result.rows[at].second.indices, expected.indices) << "row " << row;
      ASSERT_EQ(result.rows[at].second.values, expected.values) << "row " << row;
      zeros += m.cols - expected.indices.size();
    }
  }
  ASSERT_EQ(at, result.rows.size());
  EXPECT_EQ(result.zeros, zeros);
}

std::vector<RowRange> random_ranges(std::uint64_t n_rows, std::mt19937_64& random) {
  std::vector<RowRange> wanted;
  const std::uint64_t gap = 1 + random() % 20, length = 1 + random() % 30;
  for (RowIndex row = random() % n_rows; row < n_rows;) {
    const RowIndex last = std::min(n_rows, row + 1 + random() % length);
    wanted.push_back({row, last});
    row = last + 1 + random() % gap;
  }
  return wanted;
}

struct Chunks {
  std::uint64_t rows = 0, cols = 0;
  bool deflate = false;
};

TEST(DenseSource, RowsAreTheFilesRowsInAnyChunks) {
  std::mt19937_64 random(4711);
  for (const auto& [rows, cols] : {std::pair{1, 1}, {7, 300}, {70, 23}, {130, 7}}) {
    const Matrix m = make_matrix(static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(cols), random);
    for (const Chunks& chunks :
         {Chunks{}, Chunks{1, 1}, Chunks{1, 300, true}, Chunks{7, 5, true}, Chunks{64, 33},
          Chunks{50, 4, true}, Chunks{1000, 1000}, Chunks{1000, 2, true}, Chunks{3, 1000}}) {
      SCOPED_TRACE(::testing::Message()
                   << rows << " x " << cols << " in chunks of " << chunks.rows << " x " << chunks.cols);
      const auto source = open(m, chunks.rows, chunks.cols, chunks.deflate);
      EXPECT_EQ(source->traits().n_rows, m.rows);
      EXPECT_EQ(source->traits().lengths.longest, m.cols);
      expect_rows(*source, m, {});
      expect_rows(*source, m, {{0, m.rows}});
      expect_rows(*source, m, {{m.rows - 1, m.rows}});
      for (int i = 0; i < 10; ++i) {
        const auto wanted = random_ranges(m.rows, random);
        expect_rows(*source, m, wanted);
        // The least scratch gives the same rows, a few at a time.
        expect_rows(*source, m, wanted, source->least_scratch_bytes(m.rows));
      }
      for (RowIndex row = 0; row < m.rows;) {
        const RowIndex next = source->cut(row, 20);
        ASSERT_GT(next, row);
        ASSERT_LE(next, m.rows);
        if (chunks.rows != 0) EXPECT_TRUE(next % chunks.rows == 0 || next == m.rows);
        row = next;
      }
    }
  }
}

TEST(DenseSource, ABandIsDecodedOnceWhereItFits) {
  std::mt19937_64 random(3);
  const Matrix m = make_matrix(100, 64, random);
  const auto source = open(m, 50, 8, true);
  const auto whole = read_rows(*source, {{0, 100}}, Heads::whole);
  EXPECT_EQ(whole.decoded, m.values.size() * sizeof(float));
  // Selected rows here and there cost no more than all.
  const auto some = read_rows(*source, {{1, 2}, {30, 31}, {49, 51}, {99, 100}}, Heads::whole);
  EXPECT_EQ(some.decoded, m.values.size() * sizeof(float));
  // One row at a time costs every chunk once for each row.
  const auto slow = read_rows(*source, {{0, 50}}, Heads::whole, source->least_scratch_bytes(50));
  EXPECT_EQ(slow.decoded, 50 * m.values.size() / 2 * sizeof(float));
  EXPECT_LT(source->least_scratch_bytes(50), source->scratch_bytes(50));
}

template <class T>
void expect_type(NumericType type, const std::vector<T>& values, bool big_endian) {
  SCOPED_TRACE(numeric_name(type));
  auto stored = to_bytes(values);
  if (big_endian) {
    for (std::size_t i = 0; i < values.size(); ++i)
      std::reverse(stored.begin() + static_cast<std::ptrdiff_t>(i * sizeof(T)),
                   stored.begin() + static_cast<std::ptrdiff_t>((i + 1) * sizeof(T)));
  }
  for (const std::uint64_t chunk : {0, 2}) {
    const auto source = *DenseSource::open(MemoryArray::matrix(type, stored, 3, chunk, 2, true, big_endian),
                                           "memory: X", *ample());
    EXPECT_EQ(source->traits().value_type, type);
    const auto result = read_rows(*source, {{0, 2}}, Heads::whole);
    ASSERT_TRUE(result.status.ok()) << result.status.to_string();
    EXPECT_EQ(result.rows[0].second.indices, (std::vector<std::int64_t>{0, 2}));
    EXPECT_EQ(result.rows[0].second.values, to_bytes(std::vector<T>{values[0], values[2]}));
    EXPECT_EQ(result.rows[1].second.indices, (std::vector<std::int64_t>{1}));
    EXPECT_EQ(result.rows[1].second.values, to_bytes(std::vector<T>{values[4]}));
  }
}

TEST(DenseSource, AnyTypeInAnyByteOrder) {
  for (const bool big_endian : {false, true}) {
    expect_type<std::int8_t>(NumericType::i8, {-1, 0, 127, 0, 5, 0}, big_endian);
    expect_type<std::uint16_t>(NumericType::u16, {1, 0, 65535, 0, 256, 0}, big_endian);
    expect_type<std::uint16_t>(NumericType::f16, {0x3c00, 0, 0x7e00, 0, 0xbc00, 0x8000}, big_endian);
    expect_type<std::int32_t>(NumericType::i32, {-7, 0, 1 << 30, 0, 1, 0}, big_endian);
    expect_type<float>(NumericType::f32, {0.5f, 0, -1e30f, 0, 1, 0}, big_endian);
    expect_type<double>(NumericType::f64, {0.5, 0, -1e300, 0, 1, 0}, big_endian);
    expect_type<std::int64_t>(NumericType::i64, {-7, 0, std::int64_t{1} << 60, 0, 1, 0}, big_endian);
  }
}

TEST(DenseSource, ManyColumnsHaveWideNumbers) {
  Matrix m{2, 70'000, std::vector<float>(140'000)};
  m.values[69'999] = 1;
  m.values[70'000] = 2;
  const auto source = open(m, 1, 1000);
  EXPECT_EQ(source->traits().index_type, NumericType::u32);
  expect_rows(*source, m, {{0, 2}});
}

TEST(DenseSource, MissingChunksAreTheFillValue) {
  std::mt19937_64 random(5);
  Matrix m = make_matrix(6, 6, random);
  const auto array = MemoryArray::matrix(NumericType::f32, to_bytes(m.values), 6, 3, 3, true);
  array->drop_chunk(1);
  for (RowIndex r = 0; r < 3; ++r)
    std::fill_n(m.values.begin() + static_cast<std::ptrdiff_t>(r * 6 + 3), 3, 0);
  const auto source = *DenseSource::open(array, "memory: X", *ample());
  expect_rows(*source, m, {{0, 6}});
}

TEST(DenseSource, NoRowsAndNoColumns) {
  for (const std::uint64_t chunk : {0, 4}) {
    const Matrix none{0, 5, {}};
    const auto no_rows = open(none, chunk, 2);
    EXPECT_EQ(no_rows->traits().n_rows, 0u);
    expect_rows(*no_rows, none, {});
  }
}

TEST(DenseSource, DamageNamesTheChunk) {
  std::mt19937_64 random(6);
  const Matrix m = make_matrix(6, 6, random);
  const auto array = MemoryArray::matrix(NumericType::f32, to_bytes(m.values), 6, 3, 3, true);
  array->damage(3);
  const auto source = *DenseSource::open(array, "memory: X", *ample());
  expect_rows(*source, m, {{0, 3}});
  const auto result = read_rows(*source, {{2, 4}}, Heads::whole);
  EXPECT_EQ(result.status.code(), StatusCode::corrupt);
  EXPECT_THAT(result.status.message(), HasSubstr("/X chunk 3"));
  EXPECT_EQ(result.rows.size(), 1u);  // that of the band before came
}

TEST(DenseSource, SelectedGenesReadTheirChunksAlone) {
  std::mt19937_64 random(8);
  const Matrix m = make_matrix(20, 40, random);
  const auto source = open(m, 10, 10, true);
  const auto budget = ample();
  std::vector<std::uint32_t> to(40, ColumnMap::kDropped);
  to[35] = 0;
  to[12] = 1;
  const auto map = *ColumnMap::create(to, 2, *budget);
  const MappedSource mapped(source, map);
  const auto narrow = mapped.without_totals();
  ASSERT_NE(narrow, nullptr);
  const auto all = read_rows(mapped, {{0, 20}}, Heads::whole),
             few = read_rows(*narrow, {{0, 20}}, Heads::whole);
  EXPECT_EQ(few.rows, all.rows);
  EXPECT_EQ(few.decoded * 2, all.decoded);
  EXPECT_LT(few.fetched, all.fetched);
  // What was not read counts as zeros, so that both are planned alike.
  EXPECT_GT(few.zeros, all.zeros);
  std::fill(to.begin(), to.end(), 0);
  for (std::uint32_t c = 0; c < 40; ++c) to[c] = 39 - c;
  EXPECT_EQ(MappedSource(source, *ColumnMap::create(to, 40, *budget)).without_totals(), nullptr);
}

TEST(DenseSource, WhatIsNoMatrixIsRefused) {
  const auto vector = std::make_shared<MemoryArray>(NumericType::f32, to_bytes(std::vector<float>{1, 2}),
                                                    penstock::testing::ArrayOptions{});
  const auto status = DenseSource::open(vector, "memory: X", *ample()).status();
  EXPECT_EQ(status.code(), StatusCode::unsupported);
  EXPECT_THAT(status.message(), HasSubstr("1 dimensions"));
}

}  // namespace
}  // namespace penstock::anndata
