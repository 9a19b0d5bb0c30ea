// Strings that no dictionary holds, in the three ways of Encodings.md:
//
//   PLAIN                    a length (4 bytes, little-endian), its bytes, a length, its bytes, ...; strings
//                            of a fixed length have no lengths
//   DELTA_LENGTH_BYTE_ARRAY  all lengths in DELTA_BINARY_PACKED, then all bytes
//   DELTA_BYTE_ARRAY         for sorted strings: how much each keeps of the string before it (delta), then
//                            what follows in each, as DELTA_LENGTH_BYTE_ARRAY
//
// A worked example of the last: "axis", "axle", "babble" are the prefixes 0, 2, 0, the lengths 4, 2, 6, and
// the bytes "axislebabble".
//
// Lengths are not collected, since their number is only bounded by the file's word for it. They are walked
// twice instead: once to learn where the bytes behind them begin, and once more beside the bytes.
#include "parquet/encodings/byte_arrays.h"

#include <cstring>
#include <string>

#include "parquet/encodings/delta.h"

namespace penstock::parquet {
namespace {

using F = std::function<bool(std::string_view)>;

std::string_view view(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Checks each length against what is left before it takes the bytes. Stops early when f has enough.
DecodeError plain(PhysicalType type, std::uint32_t type_length, std::span<const std::byte> values,
                  std::uint64_t n, const F& f) {
  for (std::uint64_t i = 0; i < n; ++i) {
    std::uint32_t length = type_length;
    if (type == PhysicalType::byte_array) {
      if (values.size() < sizeof(length)) return DecodeError::truncated;
      std::memcpy(&length, values.data(), sizeof(length));
      values = values.subspan(sizeof(length));
    }
    if (length > values.size()) return DecodeError::truncated;
    if (!f(view(values.first(length)))) break;
    values = values.subspan(length);
  }
  return DecodeError::ok;
}

// A DELTA run of n lengths, one at a time: a block of a million equal ones takes two bytes, so that neither
// their count nor the time they take is bounded by those of the section unless the header agrees with n.
class Lengths {
 public:
  // Walks them once: end() is known, and what next() gives is not negative.
  static DecodeError open(std::span<const std::byte> bytes, std::uint64_t n, Lengths* out) {
    DecodeError error = DeltaReader::open(bytes, 32, &out->reader_);
    if (error != DecodeError::ok) return error;
    // Equality is asked for: with more lengths than values the bytes behind them could not be matched to
    // values.
    if (out->reader_.total() < n) return DecodeError::truncated;
    if (out->reader_.total() > n) return DecodeError::bad_header;
    for (std::uint64_t i = 0; i < n; ++i) {
      std::uint64_t length = 0;
      error = out->next(&length);
      if (error != DecodeError::ok) return error;
    }
    out->end_ = out->reader_.end();
    return DeltaReader::open(bytes, 32, &out->reader_);
  }
  DecodeError next(std::uint64_t* out) {
    std::int64_t value = 0;
    const DecodeError error = reader_.next(&value);
    if (error != DecodeError::ok) return error;
    if (value < 0) return DecodeError::out_of_range;
    *out = static_cast<std::uint64_t>(value);
    return DecodeError::ok;
  }
  std::size_t end() const { return end_; }

 private:
  DeltaReader reader_;
  std::size_t end_ = 0;
};

DecodeError delta_length(std::span<const std::byte> values, std::uint64_t n, const F& f) {
  Lengths lengths;
  DecodeError error = Lengths::open(values, n, &lengths);
  if (error != DecodeError::ok) return error;
  values = values.subspan(lengths.end());
  for (std::uint64_t i = 0; i < n; ++i) {
    std::uint64_t size = 0;
    error = lengths.next(&size);
    if (error != DecodeError::ok) return error;
    if (size > values.size()) return DecodeError::truncated;
    if (!f(view(values.first(size)))) break;
    values = values.subspan(size);
  }
  return DecodeError::ok;
}

// Two rows of lengths are read in step: those of prefixes here, those of the rest of each string inside
// delta_length(). The lambda cannot return an error through it, so `bad` carries it around.
//
// What a hostile file could do: each string keeps all of the one before and adds a byte, so that a page of n
// bytes spells n * n / 2. `most` bounds one string, and whoever keeps strings pays for each of them.
DecodeError delta_strings(std::span<const std::byte> values, std::uint64_t n, std::uint64_t most,
                          const F& f) {
  Lengths prefixes;
  const DecodeError opened = Lengths::open(values, n, &prefixes);
  if (opened != DecodeError::ok) return opened;
  std::string last;
  DecodeError bad = DecodeError::ok;
  const DecodeError error = delta_length(values.subspan(prefixes.end()), n, [&](std::string_view suffix) {
    std::uint64_t prefix = 0;
    bad = prefixes.next(&prefix);
    if (bad == DecodeError::ok && (prefix > last.size() || prefix + suffix.size() > most)) {
      bad = DecodeError::out_of_range;
    }
    if (bad != DecodeError::ok) return false;
    last.resize(prefix);
    last += suffix;
    return f(last);
  });
  return error == DecodeError::ok ? bad : error;
}

}  // namespace

DecodeError for_each_byte_array(Encoding encoding, PhysicalType type, std::uint32_t type_length,
                                std::span<const std::byte> values, std::uint64_t n_values,
                                std::uint64_t max_value_bytes,
                                const std::function<bool(std::string_view)>& f) {
  if (type != PhysicalType::byte_array && type != PhysicalType::fixed) return DecodeError::unsupported;
  if (n_values == 0) return DecodeError::ok;
  switch (encoding) {
    case Encoding::plain:
      return plain(type, type_length, values, n_values, f);
    case Encoding::delta_length_byte_array:
      return type == PhysicalType::byte_array ? delta_length(values, n_values, f) : DecodeError::unsupported;
    case Encoding::delta_byte_array:
      return delta_strings(values, n_values, max_value_bytes, f);
    default:
      return DecodeError::unsupported;
  }
}

}  // namespace penstock::parquet
