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

// The row groups' field: one of one row, one chunk of four bytes at byte 4.
void one_row_group(Bytes& out) {
  field(out, 4, 9);
  list(out, 1);
  field(out, 1, 9);
  list(out, 1);
  field(out, 3, 12);
  field(out, 4, 5);
  zigzag(out, 0);
  field(out, 5, 6);
  zigzag(out, 1);
  field(out, 7, 6);
  zigzag(out, 4);
  field(out, 9, 6);
  zigzag(out, 4);
  put(out, 0);  // metadata
  put(out, 0);  // chunk
  rows(out, 1);
  put(out, 0);  // row group
}

Result<std::shared_ptr<const FileMetadata>> read(const Bytes& footer, MemoryBudget& budget) {
  Bytes file;
  for (const char c : std::string_view("PAR1")) put(file, static_cast<unsigned char>(c));
  file.resize(64);
  file.insert(file.end(), footer.begin(), footer.end());
  for (int b = 0; b < 4; ++b) put(file, footer.size() >> (8 * b) & 0xff);
  for (const char c : std::string_view("PAR1")) put(file, static_cast<unsigned char>(c));
  return read_metadata(penstock::testing::MemoryFile(std::move(file)), budget);
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

}  // namespace
}  // namespace penstock::parquet
