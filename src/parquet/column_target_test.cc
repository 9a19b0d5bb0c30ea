#include "parquet/column_target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/load.h"
#include "parquet/testing/pages.h"

namespace penstock::parquet {
namespace {

using testing::Bytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kFile = "a.parquet", kColumn = "genes";
const PageContext kContext{Compression::none, 0, 0, {&kFile, &kColumn, 3}};

// Memory for a target, aligned, and full of garbage before it is used.
struct Memory {
  explicit Memory(ByteCount bytes) : bytes_(bytes + 64, std::byte{0xa5}) {}
  std::byte* data() {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data());
    return bytes_.data() + (64 - address % 64) % 64;
  }
  Bytes bytes_;
};

template <class T>
struct PlainPage {
  explicit PlainPage(const std::vector<T>& values, PageType type = PageType::data_v1) {
    testing::plain(bytes, values);
    page.type = type;
    page.n_values = values.size();
    page.encoding = Encoding::plain;
    page.values = bytes;
  }
  Bytes bytes;
  Page page;
};
// A data page of indices into a dictionary.
struct CodedPage {
  CodedPage(const std::vector<std::uint64_t>& indices, int width) {
    testing::put(bytes, static_cast<std::uint64_t>(width));
    testing::packed_run(bytes, indices, width);
    page.n_values = indices.size();
    page.encoding = Encoding::rle_dictionary;
    page.values = bytes;
  }
  Bytes bytes;
  Page page;
};

PageValues values_of(const Page& page, PhysicalType type, const ColumnTarget& target) {
  PageValues out;
  EXPECT_EQ(PageValues::open(page, type, target.dictionary_size(), page.n_values, &out), DecodeError::ok);
  return out;
}
template <class T>
std::vector<T> read(ColumnTarget& target, PageValues values) {
  EXPECT_EQ(target.item(), sizeof(T));
  std::vector<T> out(values.left());
  const auto n = values.left();
  EXPECT_EQ(target.read(values, n, reinterpret_cast<std::byte*>(out.data())), DecodeError::ok);
  return out;
}

TEST(IdTarget, TranslatesDictionariesAndPlainValues) {
  const auto budget = MemoryBudget::create(1 << 20);
  const auto map = *GeneMap::create(std::vector<std::int64_t>{100, 300, 200}, *budget);
  Memory memory(IdTarget::scratch(3, 4));
  IdTarget ids(*map, NumericType::i64, PhysicalType::int64, 4, memory.data());
  const PlainPage<std::int64_t> dictionary({200, 100, 300}, PageType::dictionary);
  ASSERT_TRUE(ids.dictionary(kContext, dictionary.page).ok());
  EXPECT_FALSE(ids.unknown());
  const CodedPage coded({0, 1, 2, 0}, 2);
  EXPECT_THAT(read<std::uint16_t>(ids, values_of(coded.page, PhysicalType::int64, ids)),
              ElementsAre(2, 0, 1, 2));
  const PlainPage<std::int64_t> plain({300, 7, -1});
  EXPECT_THAT(read<std::uint16_t>(ids, values_of(plain.page, PhysicalType::int64, ids)),
              ElementsAre(1, 0xffff, 0xffff));
  EXPECT_TRUE(ids.unknown());
  ids.no_dictionary();
  EXPECT_FALSE(ids.unknown());
}

TEST(IdTarget, WideMatricesHaveWideIds) {
  EXPECT_EQ(IdTarget::id_size(65'534), 2u);
  EXPECT_EQ(IdTarget::id_size(65'535), 4u) << "0xffff stands for an unknown gene";
  const auto map = GeneMap::identity(100'000);
  Memory memory(IdTarget::scratch(100'000, 0));
  IdTarget ids(*map, NumericType::i32, PhysicalType::int32, 0, memory.data());
  const PlainPage<std::int32_t> plain({99'999, 100'000});
  EXPECT_THAT(read<std::uint32_t>(ids, values_of(plain.page, PhysicalType::int32, ids)),
              ElementsAre(99'999u, GeneMap::kUnknown));
}

TEST(IdTarget, LongDictionariesGoThroughPieces) {
  constexpr std::int64_t kEntries = 3 * static_cast<std::int64_t>(kPiece) + 5;
  const auto map = GeneMap::identity(60'000);
  std::vector<std::int64_t> tokens;
  for (std::int64_t i = 0; i < kEntries; ++i) tokens.push_back(kEntries - 1 - i);
  Memory memory(IdTarget::scratch(60'000, kEntries));
  IdTarget ids(*map, NumericType::i64, PhysicalType::int64, kEntries, memory.data());
  const PlainPage<std::int64_t> dictionary(tokens, PageType::dictionary);
  ASSERT_TRUE(ids.dictionary(kContext, dictionary.page).ok());
  const CodedPage coded({0, 2048, kEntries - 1}, 16);
  EXPECT_THAT(read<std::uint16_t>(ids, values_of(coded.page, PhysicalType::int64, ids)),
              ElementsAre(kEntries - 1, kEntries - 1 - 2048, 0));
}

TEST(IdTarget, ADictionaryLargerThanWasSeenIsCorrupt) {
  const auto map = GeneMap::identity(10);
  Memory memory(IdTarget::scratch(10, 2));
  IdTarget ids(*map, NumericType::i64, PhysicalType::int64, 2, memory.data());
  const PlainPage<std::int64_t> dictionary({1, 2, 3}, PageType::dictionary);
  const Status status = ids.dictionary(kContext, dictionary.page);
  EXPECT_EQ(status.code(), StatusCode::corrupt);
  EXPECT_THAT(status.message(), HasSubstr("a.parquet: row group 3, column genes"));
}

class ValueTargetTest : public ::testing::Test {
 protected:
  // What values of this dictionary become.
  NumericType type_of(const std::vector<float>& entries, bool marks = false, bool keep = false) {
    Memory memory(ValueTarget::scratch(NumericType::f32, entries.size()));
    ValueTarget target(NumericType::f32, PhysicalType::float32, marks, keep, entries.size(), memory.data());
    const PlainPage<float> dictionary(entries, PageType::dictionary);
    EXPECT_TRUE(target.dictionary(kContext, dictionary.page).ok());
    return target.type();
  }
};

TEST_F(ValueTargetTest, TheNarrowestTypeThatHoldsADictionary) {
  EXPECT_EQ(type_of({0, 1, 255}), NumericType::u8);
  EXPECT_EQ(type_of({0, 256}), NumericType::u16);
  EXPECT_EQ(type_of({65'535}), NumericType::u16);
  EXPECT_EQ(type_of({65'536}), NumericType::f32);
  EXPECT_EQ(type_of({1, 1.5}), NumericType::f32);
  EXPECT_EQ(type_of({-1}), NumericType::f32);
  EXPECT_EQ(type_of({-0.0f}), NumericType::f32) << "a zero with a sign is a value of its own";
  EXPECT_EQ(type_of({std::numeric_limits<float>::quiet_NaN()}), NumericType::f32);
  EXPECT_EQ(type_of({1}, false, true), NumericType::f32) << "keep_stored";
}

TEST_F(ValueTargetTest, AMarkTakesTheLargestValueOfTheType) {
  EXPECT_EQ(type_of({-10, 254}, true), NumericType::u8);
  EXPECT_EQ(type_of({-10, 255}, true), NumericType::u16) << "255 would be taken for the mark";
  Memory memory(ValueTarget::scratch(NumericType::f32, 2));
  ValueTarget target(NumericType::f32, PhysicalType::float32, true, false, 2, memory.data());
  const PlainPage<float> dictionary({-10, 7}, PageType::dictionary);
  ASSERT_TRUE(target.dictionary(kContext, dictionary.page).ok());
  const CodedPage coded({0, 1, 1}, 1);
  const auto out = read<std::uint8_t>(target, values_of(coded.page, PhysicalType::float32, target));
  EXPECT_THAT(out, ElementsAre(255, 7, 7));
  const auto* bytes = reinterpret_cast<const std::byte*>(out.data());
  EXPECT_TRUE(target.is_mark(bytes, 0));
  EXPECT_FALSE(target.is_mark(bytes, 1));
  EXPECT_TRUE(target.has_mark(bytes, 0, 3));
  EXPECT_FALSE(target.has_mark(bytes, 1, 3));
}

TEST_F(ValueTargetTest, PlainPagesNeedTheStoredType) {
  Memory memory(ValueTarget::scratch(NumericType::f32, 1));
  ValueTarget target(NumericType::f32, PhysicalType::float32, false, false, 1, memory.data());
  const PlainPage<float> dictionary({3}, PageType::dictionary), plain({1.5f, 2});
  ASSERT_TRUE(target.dictionary(kContext, dictionary.page).ok());
  EXPECT_FALSE(target.takes(values_of(plain.page, PhysicalType::float32, target)));
  target.no_dictionary();
  EXPECT_TRUE(target.takes(values_of(plain.page, PhysicalType::float32, target)));
  EXPECT_THAT(read<float>(target, values_of(plain.page, PhysicalType::float32, target)),
              ElementsAre(1.5f, 2.f));
}

TEST_F(ValueTargetTest, OnlyFloatsSayThatAValueIsMissing) {
  Memory memory(ValueTarget::scratch(NumericType::f64, 1));
  ValueTarget floats(NumericType::f64, PhysicalType::float64, false, true, 1, memory.data());
  EXPECT_EQ(floats.missing(), ColumnTarget::Missing::is_written);
  std::byte out[8];
  floats.put_missing(out);
  EXPECT_TRUE(std::isnan(load<double>(out)));
  ValueTarget integers(NumericType::i32, PhysicalType::int32, false, true, 1, memory.data());
  EXPECT_EQ(integers.missing(), ColumnTarget::Missing::is_refused);
}

TEST(HasAllOnes, LooksAtElementsNotBytes) {
  const std::vector<std::uint16_t> values = {0x00ff, 0xff00, 0xff01, 0xffff, 0};
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  EXPECT_FALSE(has_all_ones(bytes, 2, 0, 3));
  EXPECT_TRUE(has_all_ones(bytes, 2, 0, 4));
  EXPECT_FALSE(has_all_ones(bytes, 2, 4, 5));
  EXPECT_FALSE(has_all_ones(bytes, 2, 3, 3));
}

}  // namespace
}  // namespace penstock::parquet
