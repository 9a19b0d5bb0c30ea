#include "parquet/thrift.h"

#include <gtest/gtest.h>

#include "parquet/page_header.h"
#include "parquet/testing/encoders.h"

namespace penstock::parquet {
namespace {

using testing::Bytes;

// A V1 data page's header: type 0, sizes, and its struct (values, encodings).
Bytes page_header() {
  Bytes out;
  const auto field = [&](int delta, int type) {
    testing::put(out, static_cast<std::uint64_t>(delta << 4 | type));
  };
  field(1, 5);
  testing::zigzag(out, 0);
  field(1, 5);
  testing::zigzag(out, 1000);
  field(1, 5);
  testing::zigzag(out, 300);
  field(1, 5);
  testing::zigzag(out, -2);  // crc
  field(1, 12);
  field(1, 5);
  testing::zigzag(out, 77);
  field(1, 5);
  testing::zigzag(out, 8);
  field(1, 5);
  testing::zigzag(out, 3);
  field(1, 5);
  testing::zigzag(out, 3);
  testing::put(out, 0);
  // An unknown field of every shape: a list of maps is skipped.
  field(10, 9);
  testing::put(out, 1 << 4 | 11);
  testing::varint(out, 1);
  testing::put(out, 8 << 4 | 1);
  testing::varint(out, 2);
  testing::put(out, 'h');
  testing::put(out, 'i');
  testing::put(out, 1);
  testing::put(out, 0);
  return out;
}

TEST(PageHeader, Parses) {
  PageHeader header;
  const Bytes bytes = page_header();
  ASSERT_EQ(parse_page_header(bytes, &header).kind, PageHeaderResult::Kind::ok);
  EXPECT_EQ(header.type, PageType::data_v1);
  EXPECT_EQ(header.decoded, 1000U);
  EXPECT_EQ(header.stored, 300U);
  EXPECT_EQ(header.crc, 0xfffffffeU);
  EXPECT_EQ(header.n_values, 77U);
  EXPECT_EQ(header.encoding, Encoding::rle_dictionary);
  EXPECT_EQ(header.header_bytes, bytes.size());
}

TEST(PageHeader, CutAnywhereIsTruncated) {
  PageHeader header;
  const Bytes bytes = page_header();
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_EQ(parse_page_header(std::span(bytes).first(n), &header).kind, PageHeaderResult::Kind::truncated)
        << n;
  }
}

TEST(PageHeader, WithoutItsPartsItIsCorrupt) {
  PageHeader header;
  Bytes bytes;
  testing::put(bytes, 0);
  EXPECT_EQ(parse_page_header(bytes, &header).kind, PageHeaderResult::Kind::corrupt);
}

TEST(Thrift, BombsEnd) {
  // A list of 2^31 structs in five bytes.
  Bytes list;
  testing::put(list, 15 << 4 | 12);
  testing::varint(list, std::uint64_t{1} << 31);
  ThriftReader in(list);
  EXPECT_EQ(in.list(ThriftReader::kList).size, 0U);
  EXPECT_TRUE(in.failed());
  // Structs in structs without end.
  Bytes deep(100'000, std::byte{1 << 4 | 12});
  ThriftReader nested(deep);
  nested.skip(ThriftReader::kStruct);
  EXPECT_TRUE(nested.failed());
  EXPECT_FALSE(nested.truncated());
  // A number that does not end.
  Bytes number(20, std::byte{0xff});
  ThriftReader endless(number);
  endless.integer(ThriftReader::kI64);
  EXPECT_STREQ(endless.what(), "a number of more than 10 bytes");
  // A string longer than what there is.
  Bytes text;
  testing::varint(text, 1000);
  ThriftReader longer(text);
  EXPECT_TRUE(longer.binary(ThriftReader::kBinary).empty());
  EXPECT_TRUE(longer.truncated());
}

}  // namespace
}  // namespace penstock::parquet
