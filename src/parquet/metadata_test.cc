#include "parquet/metadata.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "io/testing/memory_file.h"
#include "parquet/testing/encoders.h"

namespace penstock::parquet {
namespace {

using testing::Bytes;
using testing::put;
using testing::varint;
using testing::zigzag;

// A field's head in the long form: its number is given, whatever came before it.
void field(Bytes& out, int id, int type) {
  put(out, static_cast<std::uint64_t>(type));
  zigzag(out, id);
}

void text(Bytes& out, std::string_view value) {
  varint(out, value.size());
  for (const char c : value) put(out, static_cast<unsigned char>(c));
}

void list(Bytes& out, std::size_t n) {
  put(out, 0xfc);  // of structs
  varint(out, n);
}

void group(Bytes& out, std::string_view name, std::size_t n_children) {
  field(out, 4, 8);
  text(out, name);
  field(out, 5, 5);
  zigzag(out, static_cast<std::int64_t>(n_children));
  put(out, 0);
}

void int32_leaf(Bytes& out, std::string_view name) {
  field(out, 1, 5);
  zigzag(out, 1);
  field(out, 4, 8);
  text(out, name);
  put(out, 0);
}

// The schema field: n leaves under the root.
void flat_schema(Bytes& out, std::size_t n) {
  field(out, 2, 9);
  list(out, n + 1);
  group(out, "root", n);
  for (std::size_t i = 0; i < n; ++i) int32_leaf(out, "c" + std::to_string(i));
}

void rows(Bytes& out, std::int64_t n) {
  field(out, 3, 6);
  zigzag(out, n);
}

// A chunk of one row, of four bytes at byte 4 + number % 8, which says that it has so many without compression.
void chunk(Bytes& out, std::size_t number, std::int64_t uncompressed = 4, std::int64_t codec = 0) {
  field(out, 3, 12);
  field(out, 3, 9);  // its path, as every writer has it
  put(out, 0x18);
  text(out, "c" + std::to_string(number));
  field(out, 4, 5);
  zigzag(out, codec);
  field(out, 5, 6);
  zigzag(out, 1);
  field(out, 6, 6);
  zigzag(out, uncompressed);
  field(out, 7, 6);
  zigzag(out, 4);
  field(out, 9, 6);
  zigzag(out, static_cast<std::int64_t>(4 + number % 8));
  field(out, 12, 12);
  field(out, 3, 6);
  zigzag(out, 0);
  for (const int id : {5, 6}) {
    field(out, id, 8);
    text(out, std::string(4, static_cast<char>('0' + number % 8)));
  }
  put(out, 0);  // statistics
  put(out, 0);  // metadata
  put(out, 0);  // chunk
}

// The row groups' field: so many of one row each.
void row_groups(Bytes& out, std::size_t n_groups, std::size_t n_columns) {
  field(out, 4, 9);
  list(out, n_groups);
  for (std::size_t g = 0; g < n_groups; ++g) {
    field(out, 1, 9);
    list(out, n_columns);
    for (std::size_t c = 0; c < n_columns; ++c) chunk(out, c);
    rows(out, 1);
    put(out, 0);  // row group
  }
}
void one_row_group(Bytes& out) { row_groups(out, 1, 1); }

void key_value(Bytes& out, std::string_view key, std::string_view value) {
  field(out, 1, 8);
  text(out, key);
  field(out, 2, 8);
  text(out, value);
  put(out, 0);
}

Result<std::shared_ptr<const FileMetadata>> read(const Bytes& footer, MemoryBudget& budget,
                                                 const MetadataOptions& options = {}) {
  Bytes file;
  for (const char c : std::string_view("PAR1")) put(file, static_cast<unsigned char>(c));
  file.resize(64);
  file.insert(file.end(), footer.begin(), footer.end());
  for (int b = 0; b < 4; ++b) put(file, footer.size() >> (8 * b) & 0xff);
  for (const char c : std::string_view("PAR1")) put(file, static_cast<unsigned char>(c));
  return read_metadata(penstock::testing::MemoryFile(std::move(file)), budget, options);
}

TEST(Metadata, ReadsOneRowGroup) {
  const auto budget = MemoryBudget::create(1'000'000);
  Bytes footer;
  flat_schema(footer, 1);
  rows(footer, 1);
  one_row_group(footer);
  put(footer, 0);
  const auto metadata = read(footer, *budget);
  ASSERT_TRUE(metadata.ok()) << metadata.status().message();
  ASSERT_EQ((*metadata)->row_groups.size(), 1U);
  EXPECT_EQ((*metadata)->row_groups[0].columns.size(), 1U);
  EXPECT_EQ((*metadata)->columns[0].path, "c0");
}

// Scratch is reserved by what the footer says of a chunk, and a sum of such numbers must not wrap.
TEST(Metadata, AChunkIsNoLargerThanItsCodecCanMakeIt) {
  const auto budget = MemoryBudget::create(1'000'000);
  const auto uncompressed = [&](std::int64_t said, std::int64_t codec) {
    Bytes footer;
    flat_schema(footer, 1);
    rows(footer, 1);
    field(footer, 4, 9);
    list(footer, 1);
    field(footer, 1, 9);
    list(footer, 1);
    chunk(footer, 0, said, codec);
    rows(footer, 1);
    put(footer, 0);
    put(footer, 0);
    const auto metadata = read(footer, *budget);
    EXPECT_TRUE(metadata.ok()) << metadata.status().message();
    return metadata.ok() ? (*metadata)->row_groups[0].columns[0].uncompressed : 0;
  };
  constexpr std::int64_t kNone = 0, kSnappy = 1, kBrotli = 4;
  EXPECT_EQ(uncompressed(80, kSnappy), 80U) << "what is true is believed";
  EXPECT_EQ(uncompressed(7'378'697'629'484'240'076, kNone), 4 + kUndeclaredBytes);
  EXPECT_EQ(uncompressed(7'378'697'629'484'240'076, kSnappy), max_decompressed(Compression::snappy, 104));
  EXPECT_LE(uncompressed(7'378'697'629'484'240'076, kBrotli), kMostUncompressed);
}

// Row groups have as many chunks as the schema before them has columns: another schema behind them would make
// readers look for chunks that are not there.
TEST(Metadata, ASecondSchemaIsCorrupt) {
  const auto budget = MemoryBudget::create(1'000'000);
  Bytes footer;
  flat_schema(footer, 1);
  rows(footer, 1);
  one_row_group(footer);
  flat_schema(footer, 64);
  put(footer, 0);
  const auto metadata = read(footer, *budget);
  ASSERT_FALSE(metadata.ok());
  EXPECT_EQ(metadata.status().code(), StatusCode::corrupt);
}

// A group's long name is repeated in the path of each of its columns.
Bytes long_group(std::size_t name_bytes, std::size_t n_leaves) {
  Bytes footer;
  field(footer, 2, 9);
  list(footer, n_leaves + 2);
  group(footer, "root", 1);
  group(footer, std::string(name_bytes, 'n'), n_leaves);
  for (std::size_t i = 0; i < n_leaves; ++i) int32_leaf(footer, "");
  rows(footer, 0);
  put(footer, 0);
  return footer;
}

TEST(Metadata, PathsThatMultiplyAreRefused) {
  const auto budget = MemoryBudget::create(100'000'000);
  const auto metadata = read(long_group(20'000, 10'000), *budget);
  ASSERT_FALSE(metadata.ok());
  EXPECT_EQ(metadata.status().code(), StatusCode::budget);
}

TEST(Metadata, PathsOfUsualLengthAreNot) {
  const auto budget = MemoryBudget::create(100'000'000);
  const auto metadata = read(long_group(10, 60'000), *budget);
  ASSERT_TRUE(metadata.ok()) << metadata.status().message();
  EXPECT_EQ((*metadata)->columns.size(), 60'000U);
}

// One column per gene and four row groups: an entry for each, and descriptions of all columns, twice.
Bytes wide_footer(std::size_t n_columns, std::size_t n_groups) {
  Bytes footer;
  flat_schema(footer, n_columns);
  rows(footer, static_cast<std::int64_t>(n_groups));
  row_groups(footer, n_groups, n_columns);
  field(footer, 5, 9);
  list(footer, 3);
  key_value(footer, "ARROW:schema", std::string(200 * n_columns, 'x'));
  std::string columns = R"({"field_name": "c0", "name": "c0", "numpy_type": "float32", "metadata": null})";
  std::string pandas = R"({"index_columns": ["c7"], "columns": [)" + columns;
  for (std::size_t i = 1; i < n_columns; ++i) pandas += ", " + columns;
  key_value(footer, "pandas", pandas + "]}");
  key_value(footer, "array", R"({"shape": [4, 62710]})");
  put(footer, 0);
  return footer;
}

TEST(Metadata, AWideFooterTakesWhatIsHeld) {
  constexpr std::size_t kColumns = 62'710, kGroups = 4;
  const Bytes footer = wide_footer(kColumns, kGroups);
  ASSERT_GT(footer.size(), 25'000'000U);
  const auto budget = MemoryBudget::create(100'000'000);
  const auto metadata = read(footer, *budget);
  ASSERT_TRUE(metadata.ok()) << metadata.status().message();
  const FileMetadata& m = **metadata;
  ASSERT_EQ(m.columns.size(), kColumns);
  ASSERT_EQ(m.row_groups.size(), kGroups);
  EXPECT_EQ(m.row_groups[3].columns[62'709].offset, 4 + 62'709 % 8);
  EXPECT_EQ(m.row_groups[3].first_row, 3U);
  EXPECT_TRUE(m.row_groups[0].statistics.empty());
  EXPECT_TRUE(m.pandas.holds("c7"));
  EXPECT_EQ(m.pandas.columns.size(), 1U);
  EXPECT_EQ(m.array, R"({"shape": [4, 62710]})");
  // A leaf and four chunks a column, in vectors that grew by doubling.
  const std::uint64_t least = kColumns * (sizeof(Leaf) + kGroups * sizeof(ColumnChunk));
  EXPECT_GE(m.held.bytes(), least);
  EXPECT_LE(m.held.bytes(), least + kColumns * sizeof(Leaf) + 1'000'000);
  EXPECT_EQ(budget->usage().used, m.held.bytes());
  EXPECT_LE(budget->usage().peak, 50'000'000U);
}

TEST(Metadata, OfColumnsThatAreNotWantedNothingIsKept) {
  const Bytes footer = wide_footer(20'000, 2);
  const auto budget = MemoryBudget::create(8'000'000);
  MetadataOptions options;
  options.wanted = [](const Leaf& leaf) { return leaf.name == "c3" || leaf.name == "c19999"; };
  options.statistics = true;
  const auto metadata = read(footer, *budget, options);
  ASSERT_TRUE(metadata.ok()) << metadata.status().message();
  const FileMetadata& m = **metadata;
  EXPECT_EQ(m.n_columns, 20'000U);
  ASSERT_EQ(m.columns.size(), 2U);
  EXPECT_EQ(m.find("c4"), nullptr);
  ASSERT_NE(m.find("c19999"), nullptr);
  EXPECT_EQ(m.index_of(*m.find("c19999")), 1U);
  for (const RowGroup& group : m.row_groups) {
    ASSERT_EQ(group.columns.size(), 2U);
    EXPECT_EQ(group.columns[1].offset, 4 + 19'999 % 8);
    ASSERT_EQ(group.statistics.size(), 2U);
    EXPECT_EQ(group.statistics[0].min, "3333");
    EXPECT_EQ(group.statistics[1].max, "7777");
    EXPECT_EQ(group.statistics[1].null_count, 0U);
  }
  EXPECT_LE(m.held.bytes(), 10'000U);
}

// What does not fit is refused before it is taken, and says which file and what for.
TEST(Metadata, WhatDoesNotFitIsRefused) {
  const Bytes footer = wide_footer(20'000, 2);
  for (const std::uint64_t limit : {10'000U, 1'000'000U, 4'000'000U}) {
    const auto budget = MemoryBudget::create(limit);
    const auto metadata = read(footer, *budget);
    ASSERT_FALSE(metadata.ok()) << limit;
    EXPECT_EQ(metadata.status().code(), StatusCode::budget);
    EXPECT_NE(metadata.status().message().find("footer"), std::string::npos) << metadata.status().message();
    EXPECT_LE(budget->usage().peak, limit);
    EXPECT_EQ(budget->usage().used, 0U);
  }
}

// Cut anywhere, also where one piece of the footer ends and the next begins.
TEST(Metadata, AFooterThatEndsEarlyIsCorrupt) {
  const auto budget = MemoryBudget::create(100'000'000);
  const Bytes small = wide_footer(3, 2);
  ASSERT_TRUE(read(small, *budget).ok());
  for (std::size_t n = 0; n < small.size(); ++n) {
    const auto metadata = read(Bytes(small.begin(), small.begin() + static_cast<std::ptrdiff_t>(n)), *budget);
    EXPECT_EQ(metadata.status().code(), StatusCode::corrupt) << n;
  }
  const Bytes large = wide_footer(3'000, 2);
  for (std::size_t n = (256 << 10) - 300; n < (256 << 10) + 300; n += 7) {
    const auto metadata = read(Bytes(large.begin(), large.begin() + static_cast<std::ptrdiff_t>(n)), *budget);
    EXPECT_EQ(metadata.status().code(), StatusCode::corrupt) << n;
  }
  EXPECT_EQ(budget->usage().used, 0U);
}

// A column that pandas named for want of a name is its index, also when another tool dropped the description.
TEST(Metadata, AnIndexIsToldByItsName) {
  Bytes footer;
  field(footer, 2, 9);
  list(footer, 3);
  group(footer, "root", 2);
  int32_leaf(footer, "TP53");
  int32_leaf(footer, "__index_level_0__");
  rows(footer, 0);
  put(footer, 0);
  const auto budget = MemoryBudget::create(1'000'000);
  const auto metadata = read(footer, *budget);
  ASSERT_TRUE(metadata.ok()) << metadata.status().message();
  EXPECT_TRUE((*metadata)->pandas.holds("__index_level_0__"));
  EXPECT_FALSE((*metadata)->pandas.holds("TP53"));
}

}  // namespace
}  // namespace penstock::parquet
