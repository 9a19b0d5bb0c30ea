#include "codecs/compression.h"

#include <brotli/encode.h>
#include <gtest/gtest.h>
#include <lz4.h>
#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace penstock {
namespace {

using Kind = DecodeResult::Kind;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

bool same(const std::vector<std::byte>& bytes, const std::string& text, std::size_t n) {
  const auto expected = bytes_of(text).first(n);
  return std::equal(expected.begin(), expected.end(), bytes.begin());
}

std::string gzip(const std::string& raw) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 4, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, raw.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(raw.data()));
  stream.avail_in = static_cast<uInt>(raw.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string lz4(const std::string& raw) {
  std::string out(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(raw.size()))), '\0');
  out.resize(static_cast<std::size_t>(LZ4_compress_default(
      raw.data(), out.data(), static_cast<int>(raw.size()), static_cast<int>(out.size()))));
  return out;
}

std::string big_endian(std::uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8),
          static_cast<char>(v)};
}

std::string compress(Compression codec, const std::string& raw) {
  std::string out;
  switch (codec) {
    case Compression::none:
      return raw;
    case Compression::snappy:
      snappy::Compress(raw.data(), raw.size(), &out);
      return out;
    case Compression::gzip:
      return gzip(raw);
    case Compression::brotli: {
      std::size_t size = BrotliEncoderMaxCompressedSize(raw.size()) + 16;
      out.resize(size);
      EXPECT_TRUE(BrotliEncoderCompress(5, 18, BROTLI_MODE_GENERIC, raw.size(),
                                        reinterpret_cast<const std::uint8_t*>(raw.data()), &size,
                                        reinterpret_cast<std::uint8_t*>(out.data())));
      out.resize(size);
      return out;
    }
    case Compression::zstd:
      out.resize(ZSTD_compressBound(raw.size()));
      out.resize(ZSTD_compress(out.data(), out.size(), raw.data(), raw.size(), 1));
      return out;
    case Compression::lz4_hadoop:
      return raw.empty() ? ""
                         : big_endian(static_cast<std::uint32_t>(raw.size())) +
                               big_endian(static_cast<std::uint32_t>(lz4(raw).size())) + lz4(raw);
    case Compression::lz4_raw:
      return lz4(raw);
    case Compression::lzo:
    case Compression::unknown:
      break;
  }
  return {};
}

const Compression kCodecs[] = {Compression::none,   Compression::snappy,     Compression::gzip,
                               Compression::brotli, Compression::lz4_hadoop, Compression::zstd,
                               Compression::lz4_raw};

std::vector<std::string> inputs() {
  std::mt19937 random(7);
  std::string noise(100'000, '\0'), counts(300'000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  for (char& c : counts) c = static_cast<char>(random() % 5 == 0 ? random() % 7 : 1);
  return {"", "a", "hello hello hello hello", std::string(1 << 20, 'x'), noise, counts};
}

TEST(Compression, RoundTrips) {
  CodecContext context;
  for (const Compression codec : kCodecs) {
    for (const std::string& raw : inputs()) {
      const std::string stored = compress(codec, raw);
      std::vector<std::byte> out(raw.size(), std::byte{0xa5});
      const DecodeResult result = decompress(codec, bytes_of(stored), out, context);
      ASSERT_TRUE(result.ok()) << result.describe() << ", " << raw.size() << " bytes";
      EXPECT_TRUE(same(out, raw, raw.size())) << compression_name(codec);
      EXPECT_LE(raw.size(), max_decompressed(codec, stored.size()));
      EXPECT_GE(max_decompressed(codec, ~ByteCount{0} / 2), ~ByteCount{0} / 2) << "it does not wrap";
    }
  }
}

TEST(Compression, AnotherSizeIsAnErrorWithItsNumber) {
  CodecContext context;
  const std::string raw = inputs().back();
  for (const Compression codec : kCodecs) {
    const std::string stored = compress(codec, raw);
    for (const std::size_t size : {raw.size() - 1, raw.size() + 1, std::size_t{0}}) {
      std::vector<std::byte> out(size);
      const DecodeResult result = decompress(codec, bytes_of(stored), out, context);
      EXPECT_FALSE(result.ok()) << compression_name(codec) << " " << size;
      EXPECT_NE(result.describe().find(compression_name(codec)), std::string::npos) << result.describe();
    }
  }
  std::vector<std::byte> out(raw.size() + 1);
  EXPECT_EQ(
      decompress(Compression::snappy, bytes_of(compress(Compression::snappy, raw)), out, context).describe(),
      "snappy: expected 300001 bytes, got 300000");
}

TEST(Compression, CutShortOrDamagedNeverSucceedsQuietlyAtAnotherSizeAndNeverCrashes) {
  CodecContext context;
  std::mt19937 random(11);
  const std::string raw = "hello hello hello, and then something else entirely: 0123456789 0123456789";
  for (const Compression codec : kCodecs) {
    const std::string stored = compress(codec, raw);
    std::vector<std::byte> out(raw.size());
    for (std::size_t n = 0; n < stored.size(); ++n) {
      EXPECT_FALSE(decompress(codec, bytes_of(stored.substr(0, n)), out, context).ok())
          << compression_name(codec) << " cut at " << n;
    }
    for (int i = 0; i < 2000; ++i) {
      std::string bad = stored;
      bad[random() % bad.size()] ^= static_cast<char>(1 << (random() % 8));
      (void)decompress(codec, bytes_of(bad), out, context);
      (void)decompress_head(codec, bytes_of(bad), std::span(out).first(20), context);
    }
  }
}

TEST(Compression, AHeadIsTheBeginning) {
  CodecContext context;
  for (const Compression codec : kCodecs) {
    if (codec == Compression::lz4_hadoop) continue;
    for (const std::string& raw : inputs()) {
      const std::string stored = compress(codec, raw);
      for (const std::size_t n : {std::size_t{1}, std::size_t{100}, std::size_t{5000}, raw.size()}) {
        if (n > raw.size()) continue;
        std::vector<std::byte> out(n, std::byte{0xa5});
        ASSERT_EQ(decompress_head(codec, bytes_of(stored), out, context), n) << compression_name(codec);
        EXPECT_TRUE(same(out, raw, n)) << compression_name(codec);
      }
      // Of half of the bytes comes what they hold, and it is right.
      std::vector<std::byte> out(raw.size(), std::byte{0xa5});
      const std::size_t n =
          decompress_head(codec, bytes_of(stored.substr(0, stored.size() / 2)), out, context);
      EXPECT_LE(n, raw.size());
      EXPECT_TRUE(same(out, raw, n)) << compression_name(codec);
    }
  }
}

TEST(Compression, GzipMembersFollowOneAnother) {
  CodecContext context;
  const std::string stored = gzip("one, ") + gzip("") + gzip("two");
  std::vector<std::byte> out(8);
  ASSERT_TRUE(decompress(Compression::gzip, bytes_of(stored), out, context).ok());
  EXPECT_EQ(std::memcmp(out.data(), "one, two", 8), 0);
  out.resize(7);
  ASSERT_EQ(decompress_head(Compression::gzip, bytes_of(stored), out, context), 7u);
  EXPECT_EQ(std::memcmp(out.data(), "one, tw", 7), 0);
}

TEST(Compression, TheOlderLz4IsFramesOrABlockOrAnLz4Frame) {
  CodecContext context;
  const std::string a(1000, 'a'), b = "bcd bcd bcd";
  const auto framed = [](const std::string& raw) { return compress(Compression::lz4_hadoop, raw); };
  std::string frame(LZ4F_compressFrameBound(a.size(), nullptr), '\0');
  frame.resize(LZ4F_compressFrame(frame.data(), frame.size(), a.data(), a.size(), nullptr));
  for (const auto& [stored, raw] :
       {std::pair(framed(a) + framed(b), a + b), std::pair(lz4(a), a), std::pair(frame, a)}) {
    std::vector<std::byte> out(raw.size());
    ASSERT_TRUE(decompress(Compression::lz4_hadoop, bytes_of(stored), out, context).ok());
    EXPECT_TRUE(same(out, raw, raw.size()));
  }
}

TEST(Compression, LzoIsNotRead) {
  EXPECT_FALSE(is_readable(Compression::lzo));
  EXPECT_FALSE(is_readable(static_cast<Compression>(9)));
  EXPECT_TRUE(is_readable(Compression::lz4_raw));
}

}  // namespace
}  // namespace penstock
