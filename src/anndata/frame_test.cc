#include "anndata/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "anndata/column_reader.h"
#include "anndata/stream_column.h"
#include "anndata/table.h"
#include "anndata/testing/memory_group.h"
#include "source/coded_strings.h"
#include "source/column_text.h"

namespace penstock::anndata {
namespace {

using namespace penstock::testing;  // NOLINT: the builders
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Encoding = FrameColumn::Encoding;

std::shared_ptr<MemoryBudget> ample() { return MemoryBudget::create(100'000'000); }

Frame open(const std::shared_ptr<MemoryGroup>& group) {
  auto frame = Frame::open(group);
  EXPECT_TRUE(frame.ok()) << frame.status().to_string();
  return frame.ok() ? std::move(frame).value() : Frame();
}

// A label column's values, streamed `step` rows at a time.
template <class T>
std::vector<T> stream(const ObsColumn& column, RowIndex step) {
  std::vector<T> out;
  CodecContext codec;
  for (RowIndex first = 0; first < column.n_rows(); first += step) {
    const RowRange rows{first, std::min(column.n_rows(), first + step)};
    RequestList list;
    EXPECT_TRUE(column.requests(rows, list).ok());
    list.coalesce(kCoalesceGap, kCoalesceMax);
    std::vector<std::byte> fetched(list.total_bytes());
    std::size_t at = 0;
    for (const ReadRequest& r : list.requests()) {
      EXPECT_TRUE(r.file->read_at(r.offset, std::span(fetched).subspan(at, r.bytes)).ok());
      at += r.bytes;
    }
    std::vector<std::byte> bytes(column.scratch_bytes(rows.size()));
    Scratch scratch{bytes, &codec};
    std::vector<T> values(rows.size());
    const Status status = column.decode(rows, Fetched(list.requests(), fetched.data()), scratch,
                                        std::as_writable_bytes(std::span(values)));
    EXPECT_TRUE(status.ok()) << status.to_string();
    out.insert(out.end(), values.begin(), values.end());
  }
  return out;
}

TEST(Frame, ReadsEveryEncoding) {
  const auto frame =
      open(testing::frame("a.h5ad", 3,
                          {{"cat", categorical({1, -1, 0}, {"x", "y"}, true)},
                           {"i2", numbers<std::int16_t>({-1, 2, 3}, 2)},
                           {"u8", numbers<std::uint64_t>({1, 2, ~0ull})},
                           {"f4", numbers<float>({0.5f, -0.0f, 3}, 2)},
                           {"flag", MemoryArray::booleans({1, 0, 1})},
                           {"text", strings({"a", "", "c"})},
                           {"ni", nullable("nullable-integer", numbers<std::int64_t>({1, 2, 3}), {0, 1, 0})},
                           {"nb", nullable("nullable-boolean", MemoryArray::booleans({1, 1, 0}), {0, 1, 0})},
                           {"ns", nullable("nullable-string-array", strings({"p", "q", "r"}), {1, 0, 0})}}));
  EXPECT_EQ(frame.n_rows(), 3u);
  EXPECT_THAT(frame.columns(), ElementsAre("cat", "i2", "u8", "f4", "flag", "text", "ni", "nb", "ns"));
  const auto read = [&](const char* name, Encoding encoding, const char* dtype) {
    const auto column = frame.column(name);
    EXPECT_TRUE(column.ok()) << column.status().to_string();
    EXPECT_EQ(column->encoding, encoding) << name;
    EXPECT_EQ(column->dtype, dtype);
    EXPECT_EQ(frame.info(name).dtype, dtype);
    return *read_rows(*column, 0, 3, 2);
  };
  EXPECT_THAT(read("cat", Encoding::categorical, "category").codes, ElementsAre(1, -1, 0));
  EXPECT_TRUE(frame.column("cat")->ordered);
  EXPECT_THAT((*read_categories(*frame.column("cat"), *ample()))->names, ElementsAre("x", "y"));
  EXPECT_THAT(read("i2", Encoding::number, "int16").integers, ElementsAre(-1, 2, 3));
  EXPECT_TRUE(read("u8", Encoding::number, "uint64").is_unsigned);
  EXPECT_THAT(read("f4", Encoding::number, "float32").floats, ElementsAre(0.5, -0.0, 3));
  EXPECT_THAT(read("flag", Encoding::boolean, "bool").booleans, ElementsAre(1, 0, 1));
  EXPECT_THAT(read("text", Encoding::string, "string").strings, ElementsAre("a", "", "c"));
  EXPECT_THAT(read("ni", Encoding::nullable_number, "nullable-integer").missing, ElementsAre(0, 1, 0));
  EXPECT_THAT(read("nb", Encoding::nullable_boolean, "nullable-boolean").booleans, ElementsAre(1, 1, 0));
  EXPECT_THAT(read("ns", Encoding::nullable_string, "nullable-string-array").missing, ElementsAre(1, 0, 0));
}

TEST(Frame, CategoriesOfAnyTypeAreSpelled) {
  const auto budget = ample();
  const auto frame = open(
      testing::frame("a.h5ad", 2,
                     {{"i", categorical(numbers<std::int16_t>({0, 1}), numbers<std::int64_t>({-5, 7}))},
                      {"f", categorical(numbers<std::int8_t>({0, 1}), numbers<double>({0.1, 2}))},
                      {"b", categorical(numbers<std::int64_t>({0, 1}), MemoryArray::booleans({0, 1}))},
                      {"n", categorical(numbers<std::int8_t>({0, 1}),
                                        nullable("nullable-string-array", strings({"p", "q"}), {0, 0}))}}));
  const auto names = [&](const char* column) {
    return (*read_categories(*frame.column(column), *budget))->names;
  };
  EXPECT_THAT(names("i"), ElementsAre("-5", "7"));
  EXPECT_THAT(names("f"), ElementsAre("0.1", "2.0"));
  EXPECT_THAT(names("b"), ElementsAre("False", "True"));
  EXPECT_THAT(names("n"), ElementsAre("p", "q"));
  EXPECT_EQ(budget->usage().used, 0u);
}

TEST(Frame, OldCategoricalsReferToTheirList) {
  auto codes = numbers<std::int8_t>({0, 1, 1});
  codes->set_categories(strings({"x", "y"}));
  const auto frame = open(testing::frame("a.h5ad", 3, {{"drug", codes}}));
  const auto column = frame.column("drug");
  ASSERT_TRUE(column.ok());
  EXPECT_EQ(column->encoding, Encoding::categorical);
  EXPECT_THAT((*read_categories(*column, *ample()))->names, ElementsAre("x", "y"));
}

TEST(Frame, TheIndexHasAnyNameAndMayBeAGroup) {
  auto group = std::make_shared<MemoryGroup>("/var");
  group->set("_index", std::string("CellID"));
  group->set("column-order", std::vector<std::string>{});
  group->add("CellID", nullable("nullable-string-array", strings({"a", "b"}), {0, 0}));
  const auto frame = open(group);
  EXPECT_TRUE(frame.columns().empty());
  const auto reader = TextReader::open(make_column(frame.index()), *ample());
  EXPECT_THAT(*reader->read(0, 2), ElementsAre("a", "b"));
  EXPECT_THAT(*reader->read(1, 1), ElementsAre("b"));
}

TEST(Frame, NamesMayBeNumbersOrCategories) {
  const auto frame = open(testing::frame(
      "a.h5ad", 2, {{"n", numbers<std::int32_t>({3, 5})}, {"c", categorical({1, -1}, {"p", "q"})}}));
  const auto budget = ample();
  EXPECT_THAT(*TextReader::open(make_column(*frame.column("n")), *budget)->read(0, 2), ElementsAre("3", "5"));
  EXPECT_THAT(*TextReader::open(make_column(*frame.column("c")), *budget)->read(0, 2),
              ElementsAre("q", "nan"));
}

TEST(Frame, NoColumnsAreStoredAsNoNumbers) {
  auto group = testing::frame("a.h5ad", 2, {});
  group->set_ints("column-order", {});
  EXPECT_TRUE(open(group).columns().empty());
}

TEST(Frame, WhatDoesNotFitIsNamed) {
  const auto message = [](const std::shared_ptr<MemoryGroup>& group, const char* column, StatusCode code) {
    const auto frame = Frame::open(group);
    const Status status = frame.ok() ? frame->column(column).status() : frame.status();
    EXPECT_EQ(status.code(), code) << status.to_string();
    return status.message();
  };
  auto listed = testing::frame("a.h5ad", 3, {{"n", numbers<float>({1, 2, 3})}});
  listed->set("column-order", std::vector<std::string>{"n", "gone"});
  EXPECT_THAT(message(listed, "gone", StatusCode::corrupt),
              HasSubstr("a.h5ad: /obs: column 'gone' is listed but absent"));
  EXPECT_THAT(message(listed, "m", StatusCode::not_found), HasSubstr("no column 'm'; did you mean 'n'?"));
  EXPECT_THAT(message(testing::frame("a.h5ad", 3, {{"n", numbers<float>({1, 2})}}), "n", StatusCode::corrupt),
              HasSubstr("2 elements, but the table has 3 rows"));
  EXPECT_THAT(message(testing::frame(
                          "a.h5ad", 1,
                          {{"k", std::make_shared<MemoryGroup>("awkward-array", MemoryGroup::Children{})}}),
                      "k", StatusCode::unsupported),
              HasSubstr("'awkward-array' is not read"));
  EXPECT_THAT(message(testing::frame("a.h5ad", 1, {{"k", categorical(numbers<float>({1}), strings({"a"}))}}),
                      "k", StatusCode::corrupt),
              HasSubstr("category codes of type float32"));
  EXPECT_THAT(
      message(testing::frame("a.h5ad", 2,
                             {{"k", nullable("nullable-integer", numbers<std::int64_t>({1, 2}), {0})}}),
              "k", StatusCode::corrupt),
      HasSubstr("a mask of 1"));
  EXPECT_THAT(
      message(testing::frame("a.h5ad", 1, {{"k", nullable("nullable-boolean", numbers<float>({1}), {0})}}),
              "k", StatusCode::corrupt),
      HasSubstr("a nullable-boolean of float32"));
  auto compound = numbers<float>({1});
  compound->set_type_class(store::TypeClass::compound);
  EXPECT_EQ(Frame::open(compound).status().code(), StatusCode::unsupported);
  EXPECT_THAT(Frame::open(compound).status().message(), HasSubstr("where a table is expected"));
  auto no_index = testing::frame("a.h5ad", 1, {});
  no_index->remove_attribute("_index");
  EXPECT_EQ(Frame::open(no_index).status().code(), StatusCode::corrupt);
  auto no_order = testing::frame("a.h5ad", 1, {});
  no_order->remove_attribute("column-order");
  EXPECT_EQ(Frame::open(no_order).status().code(), StatusCode::corrupt);

  const ColumnInfo info = open(listed).info("gone");
  EXPECT_FALSE(info.usable);
  EXPECT_THAT(info.why, HasSubstr("gone"));
}

TEST(Frame, CodesOutsideTheListAreCorrupt) {
  const auto frame = open(testing::frame("a.h5ad", 3, {{"k", categorical({0, 1, 2}, {"x", "y"})}}));
  const auto column = *frame.column("k");
  const Status status = read_rows(column, 1, 2, 2).status();
  EXPECT_EQ(status.code(), StatusCode::corrupt);
  EXPECT_THAT(status.message(), HasSubstr("the code of row 2 is 2, expected -1 to 1"));
  EXPECT_EQ(
      read_rows(*open(testing::frame("a.h5ad", 1, {{"k", categorical({-2}, {"x"})}})).column("k"), 0, 1, 1)
          .status()
          .code(),
      StatusCode::corrupt);

  const auto streamed = stream_column(column, 2);
  RequestList list;
  ASSERT_TRUE(streamed->requests({0, 3}, list).ok());
  list.coalesce(kCoalesceGap, kCoalesceMax);
  std::vector<std::byte> fetched(list.total_bytes()), bytes(streamed->scratch_bytes(3)), out(12);
  ASSERT_TRUE(list.requests()[0].file->read_at(list.requests()[0].offset, fetched).ok());
  CodecContext codec;
  Scratch scratch{bytes, &codec};
  const Status bad = streamed->decode({0, 3}, Fetched(list.requests(), fetched.data()), scratch, out);
  EXPECT_EQ(bad.code(), StatusCode::corrupt);
  EXPECT_THAT(bad.message(), HasSubstr("row 2"));
}

TEST(ObsColumn, StreamsEveryKindAtAnyStep) {
  const auto frame = open(testing::frame(
      "a.h5ad", 5,
      {{"cat", categorical(numbers<std::int16_t>({1, -1, 0, 1, 1}, 2), strings({"x", "y"}))},
       {"i4", numbers<std::int32_t>({-1, 2, 3, 4, 5}, 3)},
       {"u8", numbers<std::uint64_t>({1, 2, ~0ull >> 1, 4, 5})},
       {"f4", numbers<float>({0.5f, 1, 2, 3, 4}, 2)},
       {"f8", numbers<double>({0.1, 1, 2, 3, 4}, 2)},
       {"flag", MemoryArray::booleans({1, 0, 7, 0, 1})},
       {"ni", nullable("nullable-integer", numbers<std::int64_t>({1, 2, 3, 4, 5}, 2), {0, 1, 0, 0, 1})},
       {"nb", nullable("nullable-boolean", MemoryArray::booleans({1, 0, 1, 0, 1}), {0, 0, 1, 0, 0})}}));
  for (const RowIndex step : {1, 2, 3, 5}) {
    const auto column = [&](const char* name, ObsKind kind) {
      auto c = stream_column(*frame.column(name), 2);
      EXPECT_EQ(c->kind(), kind) << name;
      EXPECT_TRUE(c->streamable());
      return c;
    };
    EXPECT_THAT(stream<std::int32_t>(*column("cat", ObsKind::category), step), ElementsAre(1, -1, 0, 1, 1));
    EXPECT_THAT(stream<std::int64_t>(*column("i4", ObsKind::integer), step), ElementsAre(-1, 2, 3, 4, 5));
    EXPECT_THAT(stream<std::int64_t>(*column("u8", ObsKind::integer), step),
                ElementsAre(1, 2, std::numeric_limits<std::int64_t>::max(), 4, 5));
    EXPECT_THAT(stream<float>(*column("f4", ObsKind::floating32), step), ElementsAre(0.5f, 1, 2, 3, 4));
    EXPECT_THAT(stream<double>(*column("f8", ObsKind::floating64), step), ElementsAre(0.1, 1, 2, 3, 4));
    EXPECT_THAT(stream<std::uint8_t>(*column("flag", ObsKind::boolean), step), ElementsAre(1, 0, 1, 0, 1));
    const auto ni = stream<double>(*column("ni", ObsKind::floating64), step);
    EXPECT_THAT(ni, ElementsAre(1, ::testing::IsNan(), 3, 4, ::testing::IsNan()));
    EXPECT_THAT(stream<double>(*column("nb", ObsKind::floating64), step),
                ElementsAre(1, 0, ::testing::IsNan(), 0, 1));
  }
}

TEST(ObsColumn, IntegersThatLabelsDoNotHoldAreRefused) {
  constexpr std::int64_t kBig = (std::int64_t{1} << 53) + 1;
  const auto frame = open(testing::frame(
      "a.h5ad", 3,
      {{"u8", numbers<std::uint64_t>({1, 2, ~0ull})},
       {"ni", nullable("nullable-integer", numbers<std::int64_t>({kBig, 2, kBig}), {1, 0, 0})},
       {"nu", nullable("nullable-integer", numbers<std::uint64_t>({~0ull, 1ull << 63, 3}), {1, 0, 0})}}));
  for (const auto& [name, why] :
       {std::pair("u8", "row 2 is 18446744073709551615, which int64 does not hold"),
        std::pair("ni", "row 2 is 9007199254740993, which float64 does not hold exactly")}) {
    const auto column = stream_column(*frame.column(name), 0);
    RequestList list;
    ASSERT_TRUE(column->requests({0, 3}, list).ok());
    list.coalesce(kCoalesceGap, kCoalesceMax);
    std::vector<std::byte> fetched(list.total_bytes()), bytes(column->scratch_bytes(3)), values(3 * 8);
    std::size_t at = 0;
    for (const ReadRequest& r : list.requests()) {
      ASSERT_TRUE(r.file->read_at(r.offset, std::span(fetched).subspan(at, r.bytes)).ok());
      at += r.bytes;
    }
    CodecContext codec;
    Scratch scratch{bytes, &codec};
    const Status status = column->decode({0, 3}, Fetched(list.requests(), fetched.data()), scratch, values);
    EXPECT_EQ(status.code(), StatusCode::invalid_argument);
    EXPECT_THAT(status.message(), HasSubstr(why));
  }
  // What is missing is not looked at.
  EXPECT_THAT(stream<double>(*stream_column(*frame.column("nu"), 0), 3),
              ElementsAre(::testing::IsNan(), 9223372036854775808.0, 3));
}

TEST(ObsColumn, StringsAreCodedBySortedName) {
  const auto budget = ample();
  {
    const auto frame = open(testing::frame(
        "a.h5ad", 4,
        {{"s", strings({"b", "a", "b", "c"})},
         {"n", nullable("nullable-string-array", strings({"b", "a", "", "c"}), {0, 0, 1, 1})}}));
    const auto coded = code_strings(*make_column(*frame.column("s")), *budget);
    ASSERT_TRUE(coded.ok());
    EXPECT_THAT((*coded)->names, ElementsAre("a", "b", "c"));
    EXPECT_THAT(stream<std::int32_t>(*(*coded)->column, 3), ElementsAre(1, 0, 1, 2));
    const auto nullable_coded = code_strings(*make_column(*frame.column("n")), *budget);
    EXPECT_THAT((*nullable_coded)->names, ElementsAre("a", "b"));
    EXPECT_THAT(stream<std::int32_t>(*(*nullable_coded)->column, 4), ElementsAre(1, 0, -1, -1));
    EXPECT_GT(budget->usage().used, 0u);
  }
  EXPECT_EQ(budget->usage().used, 0u);
}

TEST(ObsColumn, CodesOfEveryWidthAndTooManyStrings) {
  const auto budget = ample();
  for (const std::size_t distinct : {254u, 255u, 256u, 65534u, 65535u, 65536u, 65537u}) {
    std::vector<std::string> values;
    for (std::size_t i = 0; i < distinct; ++i) values.push_back("cell" + std::to_string(i + 100000));
    const auto frame = open(testing::frame("a.h5ad", distinct, {{"s", strings(values)}}));
    const auto coded = code_strings(*make_column(*frame.column("s")), *budget);
    if (distinct > kMaxDistinctStrings) {
      EXPECT_EQ(coded.status().code(), StatusCode::invalid_argument);
      EXPECT_THAT(coded.status().message(), HasSubstr("batch.index"));
      EXPECT_THAT(coded.status().message(), HasSubstr("ds.obs_names"));
      continue;
    }
    const auto codes = stream<std::int32_t>(*(*coded)->column, distinct);
    for (std::size_t i = 0; i < distinct; ++i) ASSERT_EQ(codes[i], static_cast<std::int32_t>(i)) << distinct;
  }
  const auto small = MemoryBudget::create(1000);
  const auto frame =
      open(testing::frame("a.h5ad", 1000, {{"s", strings(std::vector<std::string>(1000, "x"))}}));
  EXPECT_EQ(code_strings(*make_column(*frame.column("s")), *small).status().code(), StatusCode::budget);
  EXPECT_EQ(small->usage().used, 0u);
}

}  // namespace
}  // namespace penstock::anndata
