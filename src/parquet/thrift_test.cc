#include "parquet/thrift.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

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

// Pieces of a few bytes, as small as the reader allows.
class SmallPieces final : public ThriftPieces {
 public:
  SmallPieces(std::span<const std::byte> all, std::size_t piece) : all_(all), piece_(piece) {}
  std::span<const std::byte> next(std::size_t unread, std::uint64_t pass, std::size_t wanted) override {
    EXPECT_LE(unread, piece_bytes_);
    const std::size_t begin = at_ - unread + pass;
    at_ = std::min(all_.size(), std::max(begin + wanted, begin + piece_));
    // A buffer of exactly this size, in which the piece before is gone.
    buffer_.assign(all_.begin() + static_cast<std::ptrdiff_t>(begin),
                   all_.begin() + static_cast<std::ptrdiff_t>(at_));
    piece_bytes_ = buffer_.size();
    return buffer_;
  }
  std::uint64_t left() const override { return all_.size() - at_; }

 private:
  const std::span<const std::byte> all_;
  const std::size_t piece_;
  std::size_t at_ = 0, piece_bytes_ = 0;
  Bytes buffer_;
};

// What one reader says of a struct: fields, integers and strings, nested; the rest is skipped.
std::string walk(ThriftReader& in) {
  std::string out;
  for (ThriftReader::Field f; in.next_field(&f);) {
    out += std::to_string(f.id) + "@" + std::to_string(in.position());
    if (f.type == ThriftReader::kI32) {
      out += "=" + std::to_string(in.integer(f.type));
    } else if (f.type == ThriftReader::kBinary && f.id % 2 == 0) {
      out += "=" + std::string(in.binary(f.type));
    } else {
      in.skip(f.type);
    }
    out += ";";
  }
  return out + in.what() + std::to_string(in.position()) + "," + std::to_string(in.left());
}

TEST(Thrift, PiecesReadLikeAllAtOnce) {
  Bytes bytes = page_header();
  bytes.pop_back();
  for (int id = 1; id <= 6; ++id) {  // strings that are longer than a piece: every second one is skipped
    testing::put(bytes, 1 << 4 | 8);
    testing::varint(bytes, static_cast<std::uint64_t>(7 * id));
    for (int i = 0; i < 7 * id; ++i) testing::put(bytes, static_cast<std::uint64_t>('a' + i % 26));
  }
  testing::put(bytes, 1 << 4 | 7);  // a double
  for (int i = 0; i < 8; ++i) testing::put(bytes, 1);
  testing::put(bytes, 0);
  // Whole, and cut anywhere.
  for (std::size_t n = 0; n <= bytes.size(); ++n) {
    const auto part = std::span(bytes).first(n);
    ThriftReader whole(part);
    const std::string expected = walk(whole);
    for (const std::size_t piece : {1, 2, 3, 7, 64}) {
      SmallPieces pieces(part, piece);
      ThriftReader in(pieces);
      EXPECT_EQ(walk(in), expected) << n << " bytes in pieces of " << piece;
    }
  }
}

}  // namespace
}  // namespace penstock::parquet
