#include "anndata/csr_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "anndata/testing/csr_reader.h"
#include "anndata/testing/memory_array.h"

namespace penstock::anndata {
namespace {

using penstock::testing::ArrayOptions;
using penstock::testing::MemoryArray;
using penstock::testing::read_rows;
using penstock::testing::to_bytes;
using ::testing::HasSubstr;

// A matrix as three vectors, and the same as a source over any grids.
struct Matrix {
  std::vector<float> data;
  std::vector<std::int32_t> indices;
  std::vector<std::int64_t> indptr{0};
  std::uint64_t n_cols = 1000;

  std::uint64_t n_rows() const { return indptr.size() - 1; }
  void add_row(std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i) {
      data.push_back(static_cast<float>(data.size() + 1));
      indices.push_back(static_cast<std::int32_t>((data.size() * 7) % n_cols));
    }
    indptr.push_back(static_cast<std::int64_t>(data.size()));
  }
};

struct Grids {
  std::uint64_t data = 0, indices = 0, indptr = 0;
  bool deflate = false;
};

struct Made {
  std::shared_ptr<MemoryArray> data, indices, indptr;
  CsrParts parts;
};

Made make(const Matrix& m, const Grids& grids) {
  Made made;
  made.data = std::make_shared<MemoryArray>(NumericType::f32, to_bytes(m.data),
                                            ArrayOptions{grids.data, grids.deflate, "/X/data"});
  made.indices = std::make_shared<MemoryArray>(NumericType::i32, to_bytes(m.indices),
                                               ArrayOptions{grids.indices, grids.deflate, "/X/indices"});
  made.indptr = std::make_shared<MemoryArray>(NumericType::i64, to_bytes(m.indptr),
                                              ArrayOptions{grids.indptr, grids.deflate, "/X/indptr"});
  made.parts = {made.data, made.indices, made.indptr, m.n_rows(), m.n_cols, "memory: X"};
  return made;
}

std::shared_ptr<MemoryBudget> ample() { return MemoryBudget::create(100'000'000); }

void expect_rows(const RowSource& source, const Matrix& m, const std::vector<RowRange>& wanted,
                 bool resident = false) {
  const auto result = read_rows(source, wanted);
  ASSERT_TRUE(result.status.ok()) << result.status.to_string();
  // Without offsets how far the last rows reach is a guess; what is read again comes on top.
  if (resident && !result.head_too_short) EXPECT_EQ(source.cost(wanted).decoded, result.decoded);
  std::size_t at = 0;
  for (const RowRange& range : wanted) {
    for (RowIndex row = range.first; row < range.last; ++row, ++at) {
      ASSERT_LT(at, result.rows.size());
      ASSERT_EQ(result.rows[at].first, row);
      const auto begin = m.indptr[row], end = m.indptr[row + 1];
      const std::vector<float> values(m.data.begin() + begin, m.data.begin() + end);
      ASSERT_EQ(result.rows[at].second.values, to_bytes(values)) << "row " << row;
      const std::vector<std::int64_t> ids(m.indices.begin() + begin, m.indices.begin() + end);
      ASSERT_EQ(result.rows[at].second.indices, ids) << "row " << row;
    }
  }
  ASSERT_EQ(at, result.rows.size());
}

std::vector<RowRange> random_ranges(std::uint64_t n_rows, std::mt19937_64& random) {
  std::vector<RowRange> wanted;
  const std::uint64_t gap = 1 + random() % 20, length = 1 + random() % 30;
  for (RowIndex row = random() % (n_rows + 1); row < n_rows;) {
    const RowIndex last = std::min(n_rows, row + 1 + random() % length);
    wanted.push_back({row, last});
    row = last + 1 + random() % gap;
    if (random() % 10 == 0) break;
  }
  return wanted;
}

// All pairs of modes and grids give the same rows for any ranges.
void check_everywhere(const Matrix& m, const Grids& grids, std::mt19937_64& random) {
  SCOPED_TRACE(::testing::Message() << "grids " << grids.data << " " << grids.indices << " " << grids.indptr
                                    << " " << grids.deflate);
  const auto budget = ample();
  const auto source = CsrSource::open(make(m, grids).parts, *budget);
  ASSERT_TRUE(source.ok()) << source.status().to_string();
  const auto resident = (*source)->resident(*budget);
  ASSERT_TRUE(resident.ok());
  for (const RowSource* each : {static_cast<const RowSource*>(source->get()), resident->get()}) {
    const bool in_memory = each == resident->get();
    expect_rows(*each, m, {}, in_memory);
    if (m.n_rows() == 0) continue;
    expect_rows(*each, m, {{0, m.n_rows()}}, in_memory);
    expect_rows(*each, m, {{m.n_rows() - 1, m.n_rows()}}, in_memory);
    std::vector<RowRange> singles;
    for (RowIndex row = 0; row < m.n_rows(); row += 2) singles.push_back({row, row + 1});
    expect_rows(*each, m, singles, in_memory);
    for (int i = 0; i < 30; ++i) expect_rows(*each, m, random_ranges(m.n_rows(), random), in_memory);
  }
}

TEST(CsrSource, RowsAreTheFilesRows) {
  const std::uint64_t seed = 12345;
  RecordProperty("seed", static_cast<int>(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 6; ++round) {
    Matrix m;
    const std::uint64_t n = 1 + random() % 300;
    for (std::uint64_t i = 0; i < n; ++i) {
      const auto dice = random() % 10;
      m.add_row(dice < 3 ? 0 : dice < 9 ? random() % 40 : random() % 400);
    }
    for (const Grids& grids : {Grids{64, 64, 16}, Grids{64, 64, 16, true}, Grids{100, 37, 1000, true},
                               Grids{1, 3, 1}, Grids{0, 0, 0}, Grids{50, 0, 7}, Grids{0, 50, 0, true},
                               Grids{100000, 100000, 100000}, Grids{1 << 14, 1 << 10, 5, true}}) {
      check_everywhere(m, grids, random);
    }
  }
}

TEST(CsrSource, RowsThatEndAtChunkEdges) {
  std::mt19937_64 random(7);
  Matrix m;
  for (const std::uint64_t n : {0, 10, 10, 0, 0, 20, 5, 5, 0, 30, 0, 10, 0}) m.add_row(n);
  for (const std::uint64_t chunk : {1, 2, 5, 10, 20, 90, 91, 45})
    check_everywhere(m, {chunk, chunk, 3}, random);
  for (const std::uint64_t chunk : {5, 10, 45}) check_everywhere(m, {chunk, 2 * chunk, 3, true}, random);
}

TEST(CsrSource, RowsLongerThanManyChunks) {
  std::mt19937_64 random(8);
  Matrix m;
  for (const std::uint64_t n : {3, 5000, 1, 0, 4999, 4998, 2}) m.add_row(n);
  for (const std::uint64_t chunk : {1, 7, 64, 1000}) {
    check_everywhere(m, {chunk, chunk, 4}, random);
    check_everywhere(m, {chunk, 3 * chunk, 4}, random);
    check_everywhere(m, {5 * chunk, chunk, 4}, random);
  }
}

TEST(CsrSource, NothingStored) {
  std::mt19937_64 random(9);
  Matrix empty_rows;
  for (int i = 0; i < 10; ++i) empty_rows.add_row(0);
  check_everywhere(empty_rows, {64, 64, 4}, random);
  check_everywhere(empty_rows, {0, 0, 0}, random);
  const Matrix no_rows;
  check_everywhere(no_rows, {64, 64, 4}, random);
  Matrix one_cell;
  one_cell.add_row(1);
  check_everywhere(one_cell, {64, 64, 64}, random);
}

TEST(CsrSource, AllIntegerTypesOfIndicesAndOffsets) {
  const auto budget = ample();
  const auto check = [&]<class I, class P>(NumericType index_type, NumericType offset_type, I, P) {
    CsrParts parts;
    parts.data = std::make_shared<MemoryArray>(
        NumericType::u8, to_bytes(std::vector<std::uint8_t>{1, 2, 3, 4}), ArrayOptions{2});
    parts.indices =
        std::make_shared<MemoryArray>(index_type, to_bytes(std::vector<I>{5, 3, 0, 1}), ArrayOptions{3});
    parts.indptr =
        std::make_shared<MemoryArray>(offset_type, to_bytes(std::vector<P>{0, 1, 1, 4}), ArrayOptions{2});
    parts.n_rows = 3;
    parts.n_cols = 6;
    const auto source = CsrSource::open(parts, *budget);
    ASSERT_TRUE(source.ok()) << source.status().to_string();
    const auto result = read_rows(**source, {{0, 3}});
    ASSERT_TRUE(result.status.ok()) << result.status.to_string();
    ASSERT_EQ(result.rows.size(), 3u);
    EXPECT_THAT(result.rows[0].second.indices, ::testing::ElementsAre(5));
    EXPECT_TRUE(result.rows[1].second.indices.empty());
    EXPECT_THAT(result.rows[2].second.indices, ::testing::ElementsAre(3, 0, 1));
  };
  const auto with_offsets = [&]<class I>(NumericType type, I zero) {
    check(type, NumericType::i8, zero, std::int8_t{});
    check(type, NumericType::i32, zero, std::int32_t{});
    check(type, NumericType::u16, zero, std::uint16_t{});
    check(type, NumericType::u64, zero, std::uint64_t{});
  };
  with_offsets(NumericType::i8, std::int8_t{});
  with_offsets(NumericType::u8, std::uint8_t{});
  with_offsets(NumericType::i16, std::int16_t{});
  with_offsets(NumericType::u16, std::uint16_t{});
  with_offsets(NumericType::u32, std::uint32_t{});
  with_offsets(NumericType::i64, std::int64_t{});
  with_offsets(NumericType::u64, std::uint64_t{});
}

TEST(CsrSource, RequestsOnlyChunksWithWantedRows) {
  Matrix m;
  for (int i = 0; i < 100; ++i) m.add_row(10);  // rows of 10 elements, 5 to a chunk
  const auto budget = ample();
  auto made = make(m, {50, 50, 1000});
  const auto source = CsrSource::open(made.parts, *budget);
  ASSERT_TRUE(source.ok());
  const auto resident = *(*source)->resident(*budget);
  const auto elements = [&](std::vector<RowRange> wanted) {
    return resident->cost(wanted).decoded / (2 * sizeof(float));
  };
  EXPECT_EQ(elements({{0, 5}}), 50u);  // the next row starts exactly at the next chunk
  EXPECT_EQ(elements({{0, 6}}), 60u);  // of it the head: nothing is compressed
  EXPECT_EQ(elements({{4, 6}}), 60u);
  EXPECT_EQ(elements({{95, 100}}), 50u);
  EXPECT_EQ(elements({{0, 1}, {2, 3}, {4, 5}}), 50u);  // a chunk counts once
  EXPECT_EQ(elements({{0, 1}, {50, 51}}), 20u);
  EXPECT_EQ(elements({{0, 100}}), 1000u);
  // Not resident: the same data, and the offsets.
  EXPECT_EQ((*source)->cost(std::vector<RowRange>{{0, 5}}).decoded,
            2 * 50 * sizeof(float) + 6 * sizeof(std::int64_t));
}

// Chunks that begin with noise and go on with one value: their share of the stored bytes is far too short a
// head.
TEST(CsrSource, HeadsThatTakeMoreThanTheirShare) {
  std::mt19937_64 random(3);
  Matrix m;
  m.add_row(500);
  for (int i = 0; i < 40; ++i) m.add_row(2000);
  for (std::size_t i = 0; i < m.data.size(); ++i) {
    m.data[i] = i % 20'000 < 1500 ? static_cast<float>(random()) : 1.0f;
  }
  const auto budget = ample();
  const auto source = CsrSource::open(make(m, {20'000, 20'000, 1000, true}).parts, *budget);
  ASSERT_TRUE(source.ok());
  const auto resident = *(*source)->resident(*budget);
  const std::vector<RowRange> block{{0, 11}}, two{{0, 11}, {15, 21}, {33, 34}};  // row 10 crosses 20,000
  EXPECT_TRUE(read_rows(*resident, block, Heads::estimated).head_too_short);
  EXPECT_FALSE(read_rows(*resident, block, Heads::whole).head_too_short);
  for (const RowSource* each : {static_cast<const RowSource*>(source->get()), resident.get()}) {
    expect_rows(*each, m, block);
    expect_rows(*each, m, two);
  }
}

// Fewer than half an entry a row: the guess of how far a row goes must not round to nothing.
TEST(CsrSource, HeadsOfAlmostEmptyRows) {
  Matrix m;
  for (int i = 0; i < 1200; ++i) m.add_row(i % 6 == 5 ? 2 : 0);
  const auto budget = ample();
  const auto source = CsrSource::open(make(m, {101, 101, 1000, true}).parts, *budget);
  ASSERT_TRUE(source.ok());
  for (RowIndex first = 0; first < m.n_rows();) {
    const RowIndex last = (*source)->cut(first, 1);
    const std::vector<RowRange> block{{first, last}};
    expect_rows(**source, m, block);
    first = last;
  }
}

TEST(CsrSource, ReadsHeadsInPart) {
  std::mt19937_64 random(3);
  Matrix m;
  for (int i = 0; i < 400; ++i) m.add_row(900 + random() % 200);
  for (float& value : m.data) value = static_cast<float>(random() % 8);
  for (std::int32_t& index : m.indices) index = static_cast<std::int32_t>(random() % m.n_cols);
  const auto budget = ample();
  const auto source = CsrSource::open(make(m, {17'000, 17'000, 1000, true}).parts, *budget);
  ASSERT_TRUE(source.ok());
  const auto resident = *(*source)->resident(*budget);
  for (const RowSource* each : {static_cast<const RowSource*>(source->get()), resident.get()}) {
    for (RowIndex first = 0; first < m.n_rows();) {
      const RowIndex last = each->cut(first, 1);
      const std::vector<RowRange> block{{first, last}};
      const auto in_part = read_rows(*each, block, Heads::estimated);
      ASSERT_TRUE(in_part.status.ok()) << in_part.status.to_string();
      const auto whole = read_rows(*each, block, Heads::whole);
      if (last < m.n_rows()) EXPECT_LT(in_part.fetched, whole.fetched * 3 / 4);
      ASSERT_EQ(in_part.rows.size(), whole.rows.size());
      expect_rows(*each, m, block);
      first = last;
    }
  }
}

TEST(CsrSource, CutsAtChunks) {
  Matrix m;
  for (int i = 0; i < 100; ++i) m.add_row(10);
  const auto budget = ample();
  const auto source = *CsrSource::open(make(m, {50, 50, 1000}).parts, *budget);  // a chunk every 5 rows
  EXPECT_EQ(source->cut(0, 5), 5u);
  EXPECT_EQ(source->cut(0, 7), 5u);
  EXPECT_EQ(source->cut(0, 8), 10u);
  EXPECT_EQ(source->cut(0, 1), 5u);  // never empty
  EXPECT_EQ(source->cut(5, 1), 10u);
  EXPECT_EQ(source->cut(0, 0), 5u);
  EXPECT_EQ(source->cut(93, 3), 95u);
  EXPECT_EQ(source->cut(95, 3), 100u);
  EXPECT_EQ(source->cut(0, 1000), 100u);
  EXPECT_EQ(source->cut(3, ~0ull), 100u);
  const auto addressable = *CsrSource::open(make(m, {0, 0, 0}).parts, *budget);
  EXPECT_EQ(addressable->cut(3, 7), 10u);
  EXPECT_EQ(addressable->cut(98, 7), 100u);
}

TEST(CsrSource, TilesHoldManyRows) {
  Matrix m;
  for (int i = 0; i < 1000; ++i) m.add_row(10);
  const auto budget = ample();
  const auto source = *CsrSource::open(make(m, {1000, 1000, 100}).parts, *budget);
  const auto result = read_rows(*source, {{0, 1000}});
  EXPECT_EQ(result.tiles, 10u);  // one per chunk
}

TEST(CsrSource, TraitsDescribeTheMatrix) {
  Matrix m;
  for (const std::uint64_t n : {3, 0, 7}) m.add_row(n);
  const auto budget = ample();
  const auto source = *CsrSource::open(make(m, {4, 5, 2, true}).parts, *budget);
  const SourceTraits& t = source->traits();
  EXPECT_EQ(t.n_rows, 3u);
  EXPECT_EQ(t.n_cols, 1000u);
  EXPECT_EQ(t.lengths.entries, 10u);
  EXPECT_EQ(t.lengths.longest, 7u);
  EXPECT_EQ(t.lengths.rows, 3u);
  EXPECT_EQ(t.layout, "csr float32/int32, chunks of 4 and 5, deflate(4)");
}

TEST(CsrSource, ReservesWhatItKeeps) {
  Matrix m;
  for (int i = 0; i < 1000; ++i) m.add_row(10);
  const auto budget = ample();
  {
    const auto source = *CsrSource::open(make(m, {10, 10, 100}).parts, *budget);
    EXPECT_GE(budget->usage().used, 1000 * sizeof(std::uint32_t));
    EXPECT_LT(budget->usage().used, 1000 * sizeof(std::uint32_t) + 1100);
    const auto before = budget->usage().used;
    const auto resident = *source->resident(*budget);
    EXPECT_EQ(budget->usage().used - before, source->resident_bytes());
    EXPECT_LT(source->resident_bytes(), 1001u);  // lengths of 4 bits
  }
  EXPECT_EQ(budget->usage().used, 0u);
  const auto small = MemoryBudget::create(2000);
  EXPECT_EQ(CsrSource::open(make(m, {10, 10, 100}).parts, *small).status().code(), StatusCode::budget);
  EXPECT_EQ(small->usage().used, 0u);
}

// --- bad input ---

Status open_status(const Matrix& m, const Grids& grids = {8, 8, 4}) {
  const auto budget = ample();
  auto made = make(m, grids);
  return CsrSource::open(made.parts, *budget).status();
}

TEST(CsrSource, RefusesBadOffsets) {
  Matrix good;
  for (int i = 0; i < 20; ++i) good.add_row(3);
  ASSERT_TRUE(open_status(good).ok());

  Matrix m = good;
  m.indptr[0] = 1;
  EXPECT_EQ(open_status(m).code(), StatusCode::corrupt);
  EXPECT_THAT(open_status(m).message(), HasSubstr("row 0 is 1, expected 0"));
  m = good;
  m.indptr[13] = 2;
  EXPECT_EQ(open_status(m).code(), StatusCode::corrupt);
  EXPECT_THAT(open_status(m).message(), HasSubstr("/X/indptr: the offset of row 13 "));
  m = good;
  m.indptr[13] = -1;
  EXPECT_EQ(open_status(m).code(), StatusCode::corrupt);
  m = good;
  m.indptr[12] = std::int64_t{1} << 40;
  EXPECT_EQ(open_status(m).code(), StatusCode::corrupt);
  m = good;
  m.indptr.back() = 59;
  EXPECT_THAT(open_status(m).message(), HasSubstr("is 59, but data and indices have 60 elements"));
  m = good;
  for (auto& offset : m.indptr) offset *= 2;
  EXPECT_THAT(open_status(m).message(), HasSubstr("offset of row 11 is 66, but data and indices have 60"));
}

TEST(CsrSource, RefusesPartsThatDoNotFit) {
  Matrix m;
  for (int i = 0; i < 20; ++i) m.add_row(3);
  const auto budget = ample();
  auto made = make(m, {8, 8, 4});
  made.parts.n_rows = 21;
  EXPECT_EQ(CsrSource::open(made.parts, *budget).status().code(), StatusCode::corrupt);
  Matrix short_indices = m;
  short_indices.indices.pop_back();
  EXPECT_EQ(open_status(short_indices).code(), StatusCode::corrupt);
  made = make(m, {8, 8, 4});
  made.parts.indices = made.data;  // floats
  EXPECT_EQ(CsrSource::open(made.parts, *budget).status().code(), StatusCode::unsupported);
}

TEST(CsrSource, DamagedChunksAreNamed) {
  Matrix m;
  for (int i = 0; i < 100; ++i) m.add_row(10);
  const auto budget = ample();
  auto made = make(m, {50, 50, 1000, true});
  const auto source = *CsrSource::open(made.parts, *budget);
  made.indices->damage(7);
  EXPECT_TRUE(read_rows(*source, {{0, 30}}).status.ok());
  const Status status = read_rows(*source, {{30, 60}}).status;
  EXPECT_EQ(status.code(), StatusCode::corrupt);
  EXPECT_THAT(status.message(), HasSubstr("memory: /X/indices chunk 7 at byte 0x0"));
}

// Offsets that change between open and decode (the file was rewritten in place) must not lead out of the
// buffers.
TEST(CsrSource, ChangedOffsetsAreAnError) {
  Matrix m;
  for (int i = 0; i < 100; ++i) m.add_row(10);
  for (const std::uint64_t row : {1u, 20u, 50u, 99u}) {
    for (const std::int64_t value :
         {std::int64_t{-5}, std::int64_t{0}, std::int64_t{999}, std::int64_t{1} << 50}) {
      const auto budget = ample();
      auto made = make(m, {50, 50, 16});
      const auto source = *CsrSource::open(made.parts, *budget);
      Matrix changed = m;
      changed.indptr[row] = value;
      // The source keeps the arrays it opened: swap the file behind them by assigning the array.
      *made.indptr = std::move(*make(changed, {50, 50, 16}).indptr);
      const auto result = read_rows(*source, {{0, 100}});
      EXPECT_FALSE(result.status.ok()) << row << " " << value;
      (void)(*source).resident(*budget);
    }
  }
}

TEST(CsrSource, ASmallScratchIsRefused) {
  Matrix m;
  for (int i = 0; i < 100; ++i) m.add_row(10);
  const auto budget = ample();
  const auto source = *CsrSource::open(make(m, {50, 50, 16}).parts, *budget);
  const std::vector<RowRange> wanted{{0, 10}};
  std::vector<std::byte> bytes(source->scratch_bytes(10) - 1);
  CodecContext codec;
  Scratch scratch{bytes, &codec};
  penstock::testing::RowKeeper keeper;
  EXPECT_EQ(source->decode(wanted, Fetched({}, nullptr), scratch, keeper).code(), StatusCode::internal);
}

}  // namespace
}  // namespace penstock::anndata
