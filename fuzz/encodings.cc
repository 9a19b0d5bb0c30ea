#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "base/byte_reader.h"
#include "codecs/kernels/bit_unpack.h"
#include "codecs/kernels/bit_unpack_ref.h"
#include "every_target.h"
#include "parquet/encodings/byte_arrays.h"
#include "parquet/encodings/indices.h"
#include "parquet/encodings/level_runs.h"
#include "parquet/encodings/numbers.h"
#include "require.h"
#include "targets.h"

namespace penstock::fuzz {

namespace {

using parquet::DecodeError;
using parquet::Encoding;
using parquet::PhysicalType;
using Bytes = std::vector<std::byte>;

// The head of an input, and the stored bytes behind it in an allocation that ends with them.
struct Case {
  explicit Case(Input input) : head(input) {
    decoder = head.u8();
    width = head.u8();
    flags = head.u8();
    count = head.u16();
    size = head.u16();
    const Input rest = input.subspan(std::min(input.size(), head.position()));
    bytes.assign(rest.begin(), rest.end());
  }

  ByteReader head;
  std::uint8_t decoder = 0, width = 0, flags = 0;
  std::uint16_t count = 0, size = 0;
  Bytes bytes;
};

// What was read until an error, and which.
template <class T>
struct Outcome {
  DecodeError error = DecodeError::ok;
  std::vector<T> values;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Reads one value at a time: slow, and nothing that is packed is ever unpacked in bulk.
template <class T, class Read>
Outcome<T> one_by_one(std::uint64_t n, const Read& read) {
  Outcome<T> out;
  for (std::uint64_t i = 0; i < n && out.error == DecodeError::ok; ++i) {
    T value{};
    out.error = read(&value, 1);
    if (out.error == DecodeError::ok) out.values.push_back(value);
  }
  return out;
}

// Pieces of random lengths, some of them skipped, must agree with `expected`, which was read one by one: as
// far as that goes, and not beyond.
template <class T, class Read, class Skip>
void expect_pieces(const Case& c, const Outcome<T>& expected, std::uint64_t n, const Read& read,
                   const Skip& skip) {
  std::mt19937 random(c.flags);
  for (std::uint64_t at = 0; at < n;) {
    const std::uint64_t part = std::min<std::uint64_t>(random() % 3000 + 1, n - at);
    const bool skips = random() % 4 == 0;
    std::vector<T> out(part, static_cast<T>(0xa5));
    const DecodeError error = skips ? skip(part) : read(out.data(), part);
    const bool all = at + part <= expected.values.size();
    // What is skipped is not compared with a bound.
    if (!all && skips) return;
    require((error == DecodeError::ok) == all, "pieces end elsewhere than single values");
    if (!all) return;
    require(skips ||
                std::equal(out.begin(), out.end(), expected.values.begin() + static_cast<std::ptrdiff_t>(at)),
            "pieces differ from single values");
    at += part;
  }
}

void unpack(const Case& c) {
  const int width = c.width % 33;
  const std::size_t n =
      width == 0 ? c.count
                 : std::min<std::size_t>(c.count, c.bytes.size() * 8 / static_cast<std::size_t>(width));
  const std::size_t needed = (n * static_cast<std::size_t>(width) + 7) / 8;
  std::vector<std::uint32_t> expected(n);
  const std::uint32_t most = internal::bit_unpack_ref(c.bytes.data(), width, n, expected.data());
  const Bytes exact(c.bytes.begin(), c.bytes.begin() + static_cast<std::ptrdiff_t>(needed));
  on_every_target([&](const std::string& target) {
    for (const Bytes* in : {&c.bytes, &exact}) {
      std::vector<std::uint32_t> out(n, 0xa5a5a5a5);
      const std::uint32_t got = internal::bit_unpack(in->data(), in->size(), width, n, out.data());
      require(got == most && out == expected, fmt::format("bit_unpack on {} differs", target));
    }
  });
}

void hybrid(const Case& c) {
  const int width = c.width % 33;
  parquet::HybridReader single(c.bytes, width), pieces(c.bytes, width);
  const auto expected = one_by_one<std::uint32_t>(c.count, [&](std::uint32_t* out, std::uint64_t n) {
    return single.read({out, n});
  });
  for (const std::uint32_t value : expected.values) {
    require(width == 32 || value >> width == 0, "a value wider than its width");
  }
  expect_pieces(
      c, expected, c.count,
      [&](std::uint32_t* out, std::uint64_t n) {
        return pieces.read({out, n});
      },
      [&](std::uint64_t n) { return pieces.skip(n); });
}

template <class T>
void gather(const Case& c) {
  const std::uint32_t entries = c.size;
  std::vector<T> table(entries);
  for (std::uint32_t i = 0; i < entries; ++i) table[i] = static_cast<T>(i * 0x9e3779b97f4a7c15U);
  parquet::IndexReader single, pieces;
  const DecodeError error = parquet::IndexReader::open(c.bytes, entries, &single);
  require(parquet::IndexReader::open(c.bytes, entries, &pieces) == error, "opening twice differs");
  if (error != DecodeError::ok) return;
  const auto indices = one_by_one<std::uint32_t>(c.count, [&](std::uint32_t* out, std::uint64_t n) {
    return single.read({out, n});
  });
  Outcome<T> expected{indices.error, {}};
  for (const std::uint32_t index : indices.values) {
    require(index < entries, "an index beyond the dictionary");
    expected.values.push_back(table[index]);
  }
  expect_pieces(
      c, expected, c.count, [&](T* out, std::uint64_t n) { return pieces.gather(table.data(), out, n); },
      [&](std::uint64_t n) { return pieces.skip(n); });
}

// Lists against a walk of levels one by one. def: 0 null, 1 empty, 2 a null element, 3 a value, or fewer of
// them.
void levels(const Case& c) {
  const std::size_t cut = std::min<std::size_t>(c.size, c.bytes.size());
  const Bytes rep(c.bytes.begin(), c.bytes.begin() + static_cast<std::ptrdiff_t>(cut));
  const Bytes def(c.bytes.begin() + static_cast<std::ptrdiff_t>(cut), c.bytes.end());
  const auto max_def = static_cast<std::uint8_t>(c.width % 3 + 1);
  const auto element_def = static_cast<std::uint8_t>(max_def - (c.flags & 1 && max_def > 1 ? 1 : 0));
  const auto list_def = static_cast<std::uint8_t>(element_def - 1);
  const std::uint64_t n = c.count;
  std::vector<std::uint8_t> reps(n), defs(n);
  std::vector<std::uint32_t> starts(n), expected;
  parquet::ListPage got, want;
  const DecodeError error = parquet::list_starts(rep, def, max_def, element_def, list_def, n, starts, &got);
  bool sound = parquet::read_levels(rep, 1, n, reps.data()) == DecodeError::ok;
  if (parquet::read_levels(def, max_def, n, defs.data()) == DecodeError::ok) {
    bool all = false;
    require(parquet::all_at(def, max_def, n, &all) == DecodeError::ok, "all_at fails on sound levels");
    require(all == std::all_of(defs.begin(), defs.end(), [&](auto d) { return d == max_def; }), "all_at");
  } else {
    sound = false;
  }
  for (std::uint64_t i = 0; sound && i < n; ++i) {
    if (reps[i] == 0) {
      if (expected.empty()) want.elements_before = want.elements();
      expected.push_back(static_cast<std::uint32_t>(want.elements()));
      want.null_lists += defs[i] < list_def ? 1 : 0;
    } else {
      sound = defs[i] >= element_def;
    }
    want.values += defs[i] == max_def ? 1 : 0;
    want.null_elements += defs[i] != max_def && defs[i] >= element_def ? 1 : 0;
  }
  if (expected.empty()) want.elements_before = want.elements();
  require((error == DecodeError::ok) == sound, "list_starts and the plain walk differ about an error");
  if (!sound) return;
  starts.resize(got.rows);
  require(starts == expected && got.values == want.values && got.elements_before == want.elements_before &&
              got.null_elements == want.null_elements && got.null_lists == want.null_lists,
          "list_starts differs from the plain walk");
  std::vector<std::uint8_t> presence, expected_presence;
  for (const std::uint8_t d : defs) {
    if (d >= element_def) expected_presence.push_back(d == max_def ? 1 : 0);
  }
  presence.resize(expected_presence.size());
  parquet::ElementPresence reader(def, max_def, element_def);
  for (std::size_t at = 0; at < presence.size();) {
    const std::size_t part = std::min<std::size_t>(c.size % 50 + 1, presence.size() - at);
    std::uint64_t with_value = 0;
    require(reader.take(std::span(presence).subspan(at, part), &with_value) == DecodeError::ok,
            "presence of sound levels fails");
    at += part;
  }
  require(presence == expected_presence, "presence differs from the plain walk");
}

template <class T>
void numbers_of(const Case& c, Encoding encoding, PhysicalType type) {
  parquet::NumberReader single, pieces;
  const DecodeError error = parquet::NumberReader::open(encoding, type, 0, c.bytes, c.count, &single);
  require(parquet::NumberReader::open(encoding, type, 0, c.bytes, c.count, &pieces) == error,
          "opening twice differs");
  if (error != DecodeError::ok) return;
  const auto expected = one_by_one<T>(
      c.count, [&](T* out, std::uint64_t n) { return single.read(reinterpret_cast<std::byte*>(out), n); });
  expect_pieces(
      c, expected, c.count,
      [&](T* out, std::uint64_t n) { return pieces.read(reinterpret_cast<std::byte*>(out), n); },
      [&](std::uint64_t n) { return pieces.skip(n); });
}

void numbers(const Case& c) {
  static constexpr Encoding kEncodings[] = {Encoding::plain, Encoding::delta_binary_packed,
                                            Encoding::byte_stream_split, Encoding::rle};
  const Encoding encoding = kEncodings[c.flags % std::size(kEncodings)];
  if (c.width % 3 == 0) numbers_of<std::uint8_t>(c, encoding, PhysicalType::boolean);
  if (c.width % 3 == 1) numbers_of<std::int32_t>(c, encoding, PhysicalType::int32);
  if (c.width % 3 == 2) numbers_of<std::int64_t>(c, encoding, PhysicalType::int64);
}

void byte_arrays(const Case& c) {
  static constexpr Encoding kEncodings[] = {Encoding::plain, Encoding::delta_length_byte_array,
                                            Encoding::delta_byte_array};
  const std::uint64_t most = 1000;
  std::uint64_t handed = 0;
  const Encoding encoding = kEncodings[c.flags % std::size(kEncodings)];
  const DecodeError error = parquet::for_each_byte_array(
      encoding, PhysicalType::byte_array, 0, c.bytes, c.count, most, [&](std::string_view value) {
        require(value.size() <= std::max<std::uint64_t>(most, c.bytes.size()), "a string beyond its bound");
        ++handed;
        return true;
      });
  require(error == DecodeError::ok ? handed == c.count : handed <= c.count, "another number of strings");
}

}  // namespace

std::string encodings(Input input) {
  using Decoder = void (*)(const Case&);
  static constexpr Decoder kDecoders[] = {unpack,
                                          hybrid,
                                          gather<std::uint8_t>,
                                          gather<std::uint16_t>,
                                          gather<std::uint32_t>,
                                          gather<std::uint64_t>,
                                          levels,
                                          numbers,
                                          byte_arrays};
  const Case c(input);
  kDecoders[c.decoder % std::size(kDecoders)](c);
  return fmt::format("ok: decoder {}, {} bytes\n", c.decoder % std::size(kDecoders), c.bytes.size());
}

}  // namespace penstock::fuzz
