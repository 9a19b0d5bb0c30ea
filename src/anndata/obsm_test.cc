#include "anndata/obsm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "anndata/testing/memory_group.h"
#include "base/load.h"

namespace penstock::anndata {
namespace {

using namespace penstock::testing;  // NOLINT: the builders
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<MemoryGroup> file_with(const MemoryGroup::Children& entries) {
  auto obsm = std::make_shared<MemoryGroup>("/obsm");
  for (const auto& [name, node] : entries) obsm->add(name, node);
  auto root = std::make_shared<MemoryGroup>("/");
  root->add("obsm", obsm);
  return root;
}

std::shared_ptr<const ObsmArray> open(const MemoryGroup::Children& entries, RowIndex rows) {
  auto opened = open_obsm(*file_with(entries), entries.front().first, rows);
  EXPECT_TRUE(opened.ok()) << opened.status().to_string();
  return opened.ok() ? *opened : nullptr;
}

// The wanted rows one behind the other, read with the bytes and the scratch asked for, and no more.
struct Read {
  Status status;
  std::vector<std::byte> rows;
  ByteCount fetched = 0;
};
Read read(const ObsmArray& array, const std::vector<RowRange>& wanted, ArrayType type, std::size_t item) {
  Read out;
  RequestList list;
  array.requests(wanted, list);
  list.coalesce(0, kCoalesceMax);
  out.fetched = list.total_bytes();
  std::vector<std::byte> bytes(out.fetched);
  std::size_t at = 0;
  for (const ReadRequest& r : list.requests()) {
    EXPECT_TRUE(r.file->read_at(r.offset, std::span(bytes).subspan(at, r.bytes)).ok());
    at += r.bytes;
  }
  CodecContext codec;
  std::vector<std::byte> memory(array.scratch_bytes() + 64);
  const std::size_t align = 64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
  Scratch scratch{std::span(memory).subspan(align, array.scratch_bytes()), &codec};
  array.begin(scratch.bytes);
  const Fetched fetched(list.requests(), bytes.data());
  // At an odd address, as in a record.
  std::vector<std::byte> row(1 + array.width() * item);
  for (const RowRange& range : wanted) {
    for (RowIndex r = range.first; r < range.last; ++r) {
      out.status = array.read(r, type, fetched, scratch, row.data() + 1);
      if (!out.status.ok()) return out;
      out.rows.insert(out.rows.end(), row.begin() + 1, row.end());
    }
  }
  return out;
}

std::vector<float> some_floats(std::size_t n) {
  std::mt19937 random(7);
  std::vector<float> out(n);
  for (float& value : out) value = std::ldexp(static_cast<float>(random() % 1000), -3);
  out[n / 2] = std::numeric_limits<float>::quiet_NaN();
  return out;
}

TEST(Obsm, RowsAreThoseOfTheArrayInAnyChunks) {
  constexpr std::uint64_t kRows = 70, kCols = 23;
  const auto values = some_floats(kRows * kCols);
  const std::vector<RowRange> scattered = {{0, 3}, {6, 7}, {8, 30}, {69, 70}};
  struct Chunks {
    std::uint64_t rows = 0, cols = 0;
    bool deflate = false;
  };
  for (const Chunks& chunks : {Chunks{}, Chunks{1, 23}, Chunks{7, 5, true}, Chunks{64, 30, true},
                               Chunks{1000, 1, true}, Chunks{3, 9}}) {
    const auto array = open({{"e", MemoryArray::matrix(NumericType::f32, to_bytes(values), kCols, chunks.rows,
                                                       chunks.cols, chunks.deflate)}},
                            kRows);
    ASSERT_NE(array, nullptr);
    EXPECT_EQ(array->width(), kCols);
    EXPECT_EQ(array->type(), ArrayType::f32);
    EXPECT_EQ(array->row_addressable(), chunks.rows == 0);
    for (const auto& wanted : {std::vector<RowRange>{{0, kRows}}, scattered}) {
      const Read got = read(*array, wanted, ArrayType::f32, 4);
      ASSERT_TRUE(got.status.ok()) << got.status.to_string();
      std::vector<std::byte> expected;
      const auto all = to_bytes(values);
      for (const RowRange& range : wanted) {
        expected.insert(expected.end(), all.begin() + static_cast<std::ptrdiff_t>(range.first * kCols * 4),
                        all.begin() + static_cast<std::ptrdiff_t>(range.last * kCols * 4));
      }
      EXPECT_EQ(got.rows, expected) << chunks.rows << " x " << chunks.cols;
      if (chunks.rows == 0) {
        EXPECT_EQ(got.fetched, expected.size()) << "for their own bytes";
      }
    }
  }
}

TEST(Obsm, BigEndianNumbersComeOutInNativeOrder) {
  std::vector<std::int32_t> values = {1, -2, 300, 70'000};
  auto bytes = to_bytes(values);
  for (std::size_t i = 0; i < bytes.size(); i += 4) std::reverse(&bytes[i], &bytes[i] + 4);
  for (const std::uint64_t chunk : {0, 1}) {
    const auto array = open(
        {{"e", MemoryArray::matrix(NumericType::i32, bytes, 2, chunk, chunk == 0 ? 0 : 2, false, true)}}, 2);
    EXPECT_EQ(read(*array, {{0, 2}}, ArrayType::i32, 4).rows, to_bytes(values));
  }
}

std::shared_ptr<MemoryGroup> table(std::uint64_t rows, const MemoryGroup::Children& columns) {
  auto group = frame("memory", rows, columns);
  group->set("encoding-type", std::string("dataframe"));
  group->set_path("/obsm/t");
  return group;
}

TEST(Obsm, ATableGivesItsColumnsOfNumbers) {
  const auto array = open({{"t", table(3, {{"cat", categorical({1, -1, 0}, {"x", "y"})},
                                           {"i2", numbers<std::int16_t>({-1, 2, 3}, 2)},
                                           {"text", strings({"a", "", "c"})},
                                           {"flag", MemoryArray::booleans({2, 0, 1})},
                                           {"f4", numbers<float>({0.5f, -0.0f, 3})}})}},
                          3);
  EXPECT_THAT(array->columns(), ElementsAre("i2", "flag", "f4"));
  EXPECT_EQ(array->width(), 3u);
  EXPECT_EQ(array->type(), ArrayType::f32);
  const Read got = read(*array, {{0, 3}}, ArrayType::f32, 4);
  ASSERT_TRUE(got.status.ok()) << got.status.to_string();
  EXPECT_EQ(got.rows, to_bytes(std::vector<float>{-1, 1, 0.5f, 2, 0, -0.0f, 3, 1, 3}));
}

TEST(Obsm, MissingValuesAreNaN) {
  // 2^53 + 1 is no double, but it is missing.
  const std::int64_t large = (std::int64_t{1} << 53) + 1;
  const auto array = open(
      {{"t", table(2, {{"n", nullable("nullable-integer", numbers<std::int64_t>({large, 7}, 1), {1, 0})}})}},
      2);
  EXPECT_EQ(array->type(), ArrayType::f64);
  const Read got = read(*array, {{0, 2}}, ArrayType::f64, 8);
  ASSERT_TRUE(got.status.ok()) << got.status.to_string();
  EXPECT_TRUE(std::isnan(load<double>(got.rows.data(), 0)));
  EXPECT_EQ(load<double>(got.rows.data(), 1), 7);
}

TEST(Obsm, AnIntegerThatTheTypeDoesNotHoldIsNamed) {
  const std::int64_t large = (std::int64_t{1} << 53) + 1;
  const auto array = open({{"t", table(2, {{"whole", numbers<std::int64_t>({1, large})},
                                           {"part", numbers<float>({0.5f, 1.5f})}})}},
                          2);
  const Read got = read(*array, {{0, 2}}, array->type(), 8);
  EXPECT_EQ(got.status.code(), StatusCode::invalid_argument);
  EXPECT_THAT(got.status.message(), HasSubstr("/obsm/t: row 1, column 'whole': an integer that float64"));
}

TEST(Obsm, DamagedChunksAreNamed) {
  auto values = MemoryArray::matrix(NumericType::f32, to_bytes(some_floats(200)), 2, 10, 2, true);
  values->damage(3);
  const auto array = open({{"e", values}}, 100);
  EXPECT_TRUE(read(*array, {{0, 30}}, ArrayType::f32, 4).status.ok());
  const Read got = read(*array, {{25, 45}}, ArrayType::f32, 4);
  EXPECT_EQ(got.status.code(), StatusCode::corrupt);
  EXPECT_THAT(got.status.message(), HasSubstr("chunk 3"));
  EXPECT_EQ(got.rows.size(), 5u * 8) << "rows before it come";
}

TEST(Obsm, WhatIsNotReadIsSaid) {
  const auto matrix = [](std::uint64_t rows) {
    return MemoryArray::matrix(NumericType::f32, to_bytes(some_floats(rows * 2)), 2, 0, 0, false);
  };
  const auto status = [](const MemoryGroup::Children& entries) {
    return open_obsm(*file_with(entries), "e", 10).status();
  };
  EXPECT_EQ(status({{"e", matrix(9)}}).code(), StatusCode::corrupt);
  EXPECT_THAT(status({{"e", matrix(9)}}).message(), HasSubstr("9 rows, but obs has 10"));
  EXPECT_THAT(status({{"e", numbers<float>({1, 2})}}).message(), HasSubstr("1 dimensions"));
  EXPECT_THAT(status({{"e", table(10, {})}}).message(), HasSubstr("without a column of numbers"));
  EXPECT_THAT(status({{"e", std::make_shared<MemoryGroup>("csc_matrix", MemoryGroup::Children{})}}).message(),
              HasSubstr("a sparse matrix"));
  EXPECT_EQ(status({{"other", matrix(10)}}).code(), StatusCode::not_found);
  EXPECT_THAT(status({{"other", matrix(10)}}).message(), HasSubstr("obsm has no 'e'; there are: 'other'"));
  EXPECT_EQ(open_obsm(MemoryGroup("/"), "e", 10).status().code(), StatusCode::not_found);
  EXPECT_THAT(status({{"e", table(10, {{"u", numbers(std::vector<std::uint64_t>(10))},
                                       {"i", numbers(std::vector<std::int8_t>(10))}})}})
                  .message(),
              HasSubstr("column 'i' is int8 and those before it are uint64"));
}

TEST(Obsm, AListSaysWhatThereIsAndWhyNot) {
  const auto good = MemoryArray::matrix(NumericType::f64, to_bytes(std::vector<double>(6)), 3, 0, 0, false);
  const auto entries = list_obsm(*file_with({{"a", good}, {"b", numbers<float>({1, 2})}}), 2);
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_TRUE((*entries)[0].usable);
  EXPECT_EQ((*entries)[0].width, 3u);
  EXPECT_EQ((*entries)[0].dtype, "float64");
  EXPECT_FALSE((*entries)[1].usable);
  EXPECT_THAT((*entries)[1].why, HasSubstr("1 dimensions"));
}

}  // namespace
}  // namespace penstock::anndata
