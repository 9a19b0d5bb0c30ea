#include "parquet/encodings/numbers.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "parquet/encodings/byte_arrays.h"
#include "parquet/testing/encoders.h"

namespace penstock::parquet {
namespace {

using testing::Bytes;

template <class T>
Bytes plain(const std::vector<T>& values) {
  Bytes out(values.size() * sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), values.data(), out.size());
  return out;
}

// DELTA_BINARY_PACKED with blocks of 128 in 4 miniblocks of 32; sums wrap at the width of T.
template <class T>
Bytes delta(const std::vector<T>& values) {
  using U = std::make_unsigned_t<T>;
  Bytes out;
  testing::varint(out, 128);
  testing::varint(out, 4);
  testing::varint(out, values.size());
  testing::zigzag(out, values.empty() ? 0 : values[0]);
  for (std::size_t first = 1; first < values.size(); first += 128) {
    std::vector<T> deltas;
    for (std::size_t i = first; i < std::min(values.size(), first + 128); ++i) {
      deltas.push_back(static_cast<T>(static_cast<U>(values[i]) - static_cast<U>(values[i - 1])));
    }
    const T least = *std::min_element(deltas.begin(), deltas.end());
    testing::zigzag(out, least);
    std::vector<std::vector<std::uint64_t>> minis(4);
    int widths[4] = {};
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      const auto above =
          static_cast<std::uint64_t>(static_cast<U>(static_cast<U>(deltas[i]) - static_cast<U>(least)));
      minis[i / 32].push_back(above);
      while (widths[i / 32] < 64 && above >> widths[i / 32] != 0) ++widths[i / 32];
    }
    for (const int width : widths) testing::put(out, static_cast<std::uint64_t>(width));
    for (int m = 0; m < 4; ++m) {
      if (minis[static_cast<std::size_t>(m)].empty()) break;
      minis[static_cast<std::size_t>(m)].resize(32, 0);
      testing::pack(out, minis[static_cast<std::size_t>(m)], widths[m]);
    }
  }
  return out;
}

template <class T>
Bytes split(const std::vector<T>& values) {
  const Bytes raw = plain(values);
  Bytes out;
  for (std::size_t b = 0; b < sizeof(T); ++b) {
    for (std::size_t i = 0; i < values.size(); ++i) out.push_back(raw[i * sizeof(T) + b]);
  }
  return out;
}

// Reads and skips in random pieces.
template <class T>
void expect_reads(Encoding encoding, PhysicalType type, const Bytes& bytes, const std::vector<T>& values,
                  std::uint32_t seed) {
  NumberReader reader;
  ASSERT_EQ(NumberReader::open(encoding, type, 0, bytes, values.size(), &reader), DecodeError::ok);
  std::mt19937 random(seed);
  for (std::size_t at = 0; at < values.size();) {
    const std::size_t n = std::min<std::size_t>(random() % 100 + 1, values.size() - at);
    if (random() % 3 == 0) {
      ASSERT_EQ(reader.skip(n), DecodeError::ok);
    } else {
      std::vector<T> out(n);
      ASSERT_EQ(reader.read(reinterpret_cast<std::byte*>(out.data()), n), DecodeError::ok);
      ASSERT_EQ(std::memcmp(out.data(), values.data() + at, n * sizeof(T)), 0)
          << encoding_name(encoding) << " " << at;
    }
    at += n;
  }
  std::byte more[8];
  EXPECT_EQ(reader.read(more, 1), DecodeError::truncated);
}

template <class T>
std::vector<T> some(std::size_t n, std::uint32_t seed, int shape) {
  std::mt19937_64 random(seed);
  std::vector<T> out(n);
  T value = 0;
  for (T& v : out) {
    value = static_cast<T>(shape == 0 ? random() : shape == 1 ? value + static_cast<T>(random() % 9) : T{5});
    v = value;
  }
  return out;
}

TEST(Numbers, EveryEncodingOfIntegers) {
  for (const std::size_t n : {0, 1, 2, 31, 32, 33, 127, 128, 129, 130, 1000}) {
    for (int shape = 0; shape < 3; ++shape) {
      const auto a = some<std::int32_t>(n, 1, shape);
      const auto b = some<std::int64_t>(n, 2, shape);
      expect_reads(Encoding::plain, PhysicalType::int32, plain(a), a, 1);
      expect_reads(Encoding::plain, PhysicalType::int64, plain(b), b, 2);
      expect_reads(Encoding::byte_stream_split, PhysicalType::int32, split(a), a, 3);
      expect_reads(Encoding::byte_stream_split, PhysicalType::int64, split(b), b, 4);
      expect_reads(Encoding::delta_binary_packed, PhysicalType::int32, delta(a), a, 5);
      expect_reads(Encoding::delta_binary_packed, PhysicalType::int64, delta(b), b, 6);
    }
  }
}

TEST(Numbers, Booleans) {
  std::mt19937 random(2);
  std::vector<std::uint64_t> bits(77);
  for (auto& b : bits) b = random() % 2;
  const std::vector<std::uint8_t> values(bits.begin(), bits.end());
  Bytes packed;
  testing::pack(packed, bits, 1);
  expect_reads(Encoding::plain, PhysicalType::boolean, packed, values, 1);
  Bytes runs;
  testing::packed_run(runs, bits, 1);
  Bytes with_length = plain(std::vector<std::uint32_t>{static_cast<std::uint32_t>(runs.size())});
  with_length.insert(with_length.end(), runs.begin(), runs.end());
  expect_reads(Encoding::rle, PhysicalType::boolean, with_length, values, 2);
}

TEST(Numbers, HostileHeadersAreErrors) {
  NumberReader reader;
  const auto open = [&](const Bytes& bytes) {
    return NumberReader::open(Encoding::delta_binary_packed, PhysicalType::int32, 0, bytes, 100, &reader);
  };
  const auto header = [](std::uint64_t block, std::uint64_t minis, std::uint64_t total) {
    Bytes out;
    testing::varint(out, block);
    testing::varint(out, minis);
    testing::varint(out, total);
    testing::zigzag(out, 1);
    return out;
  };
  EXPECT_EQ(open(header(0, 4, 100)), DecodeError::bad_header);
  EXPECT_EQ(open(header(100, 4, 100)), DecodeError::bad_header);
  EXPECT_EQ(open(header(128, 0, 100)), DecodeError::bad_header);
  EXPECT_EQ(open(header(128, 3, 100)), DecodeError::bad_header);
  EXPECT_EQ(open(header(std::uint64_t{1} << 40, 4, 100)), DecodeError::bad_header);
  EXPECT_EQ(open(header(128, 4, 99)), DecodeError::truncated);
  EXPECT_EQ(open({}), DecodeError::truncated);
  Bytes wide = header(128, 4, 100);
  testing::zigzag(wide, 0);
  for (int i = 0; i < 4; ++i) testing::put(wide, 33);
  ASSERT_EQ(open(wide), DecodeError::ok);
  std::int32_t out[100];
  EXPECT_EQ(reader.read(reinterpret_cast<std::byte*>(out), 100), DecodeError::bad_width);
  EXPECT_EQ(NumberReader::open(Encoding::delta_binary_packed, PhysicalType::float32, 0, {}, 0, &reader),
            DecodeError::unsupported);
  EXPECT_EQ(NumberReader::open(Encoding::delta_byte_array, PhysicalType::int32, 0, {}, 0, &reader),
            DecodeError::unsupported);
}

TEST(Numbers, CutOrFlippedNeverReadsOutside) {
  const auto values = some<std::int64_t>(289, 3, 1);  // whole miniblocks: no padding that may be left out
  const Bytes bytes = delta(values);
  std::vector<std::int64_t> out(values.size());
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    NumberReader reader;
    DecodeError error = NumberReader::open(Encoding::delta_binary_packed, PhysicalType::int64, 0,
                                           std::span(bytes).first(n), values.size(), &reader);
    if (error == DecodeError::ok)
      error = reader.read(reinterpret_cast<std::byte*>(out.data()), values.size());
    EXPECT_NE(error, DecodeError::ok) << n;
  }
  std::mt19937 random(4);
  for (int i = 0; i < 3000; ++i) {
    Bytes bad = bytes;
    bad[random() % bad.size()] ^= static_cast<std::byte>(1 << random() % 8);
    NumberReader reader;
    if (NumberReader::open(Encoding::delta_binary_packed, PhysicalType::int64, 0, bad, values.size(),
                           &reader) == DecodeError::ok) {
      (void)reader.read(reinterpret_cast<std::byte*>(out.data()), values.size());
    }
  }
}

std::vector<std::string> strings(Encoding encoding, const Bytes& bytes, std::uint64_t n, DecodeError* error,
                                 std::uint64_t most = 1000) {
  std::vector<std::string> out;
  *error =
      for_each_byte_array(encoding, PhysicalType::byte_array, 0, bytes, n, most, [&](std::string_view value) {
        out.emplace_back(value);
        return true;
      });
  return out;
}

TEST(ByteArrays, PlainAndDelta) {
  const std::vector<std::string> values = {"axis", "axle", "", "babble", "babyhood", std::string(200, 'x')};
  Bytes raw, joined, suffixes;
  std::vector<std::int32_t> lengths, prefixes, suffix_lengths;
  std::string last;
  for (const std::string& v : values) {
    for (const std::byte b : plain(std::vector<std::uint32_t>{static_cast<std::uint32_t>(v.size())}))
      raw.push_back(b);
    std::size_t same = 0;
    while (same < std::min(v.size(), last.size()) && v[same] == last[same]) ++same;
    for (std::size_t i = 0; i < v.size(); ++i) {
      raw.push_back(static_cast<std::byte>(v[i]));
      joined.push_back(static_cast<std::byte>(v[i]));
      if (i >= same) suffixes.push_back(static_cast<std::byte>(v[i]));
    }
    lengths.push_back(static_cast<std::int32_t>(v.size()));
    prefixes.push_back(static_cast<std::int32_t>(same));
    suffix_lengths.push_back(static_cast<std::int32_t>(v.size() - same));
    last = v;
  }
  DecodeError error = DecodeError::ok;
  EXPECT_EQ(strings(Encoding::plain, raw, values.size(), &error), values);
  Bytes by_length = delta(lengths);
  by_length.insert(by_length.end(), joined.begin(), joined.end());
  EXPECT_EQ(strings(Encoding::delta_length_byte_array, by_length, values.size(), &error), values);
  Bytes by_prefix = delta(prefixes);
  for (const std::byte b : delta(suffix_lengths)) by_prefix.push_back(b);
  by_prefix.insert(by_prefix.end(), suffixes.begin(), suffixes.end());
  EXPECT_EQ(strings(Encoding::delta_byte_array, by_prefix, values.size(), &error), values);
  EXPECT_EQ(error, DecodeError::ok);
  // Longer than any string may be.
  (void)strings(Encoding::delta_byte_array, by_prefix, values.size(), &error, 100);
  EXPECT_EQ(error, DecodeError::out_of_range);
  for (const auto& [encoding, bytes] :
       {std::pair(Encoding::plain, raw), std::pair(Encoding::delta_length_byte_array, by_length),
        std::pair(Encoding::delta_byte_array, by_prefix)}) {
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      (void)strings(encoding, Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n)),
                    values.size(), &error);
      EXPECT_NE(error, DecodeError::ok) << encoding_name(encoding) << " cut at " << n;
    }
  }
  (void)strings(Encoding::byte_stream_split, raw, values.size(), &error);
  EXPECT_EQ(error, DecodeError::unsupported);
}

// Blocks of equal lengths are two bytes each: a count that nobody asked for would take minutes.
TEST(ByteArrays, MoreLengthsThanValuesAreAnError) {
  constexpr std::uint64_t kBlock = 1 << 20;
  Bytes bytes;
  testing::varint(bytes, kBlock);
  testing::varint(bytes, 1);
  testing::varint(bytes, 4000 * kBlock + 1);
  testing::zigzag(bytes, 0);
  for (int block = 0; block < 4000; ++block) {
    testing::zigzag(bytes, 0);
    testing::put(bytes, 0);
  }
  DecodeError error = DecodeError::ok;
  for (const Encoding encoding : {Encoding::delta_length_byte_array, Encoding::delta_byte_array}) {
    EXPECT_TRUE(strings(encoding, bytes, 1, &error).empty());
    EXPECT_EQ(error, DecodeError::bad_header);
  }
}

}  // namespace
}  // namespace penstock::parquet
