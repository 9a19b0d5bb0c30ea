#include "parquet/encodings/byte_arrays.h"

#include <cstring>
#include <string>
#include <vector>

#include "parquet/encodings/delta.h"

namespace penstock::parquet {
namespace {

using F = std::function<bool(std::string_view)>;

std::string_view view(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

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

// A run of lengths; how many bytes it took. Each value takes a bit at the least or stands in a header, so the
// caller's count, which is bounded by the page's, bounds the vector.
DecodeError lengths(std::span<const std::byte> bytes, std::uint64_t n, std::vector<std::int64_t>* out,
                    std::size_t* end) {
  DeltaReader reader;
  DecodeError error = DeltaReader::open(bytes, 32, &reader);
  if (error != DecodeError::ok) return error;
  if (reader.total() < n) return DecodeError::truncated;
  out->clear();
  for (std::uint64_t i = 0; i < reader.total(); ++i) {
    std::int64_t value = 0;
    error = reader.next(&value);
    if (error != DecodeError::ok) return error;
    if (value < 0) return DecodeError::out_of_range;
    if (i < n) out->push_back(value);
  }
  *end = reader.end();
  return DecodeError::ok;
}

DecodeError delta_length(std::span<const std::byte> values, std::uint64_t n, const F& f) {
  std::vector<std::int64_t> sizes;
  std::size_t end = 0;
  const DecodeError error = lengths(values, n, &sizes, &end);
  if (error != DecodeError::ok) return error;
  values = values.subspan(end);
  for (const std::int64_t size : sizes) {
    if (static_cast<std::uint64_t>(size) > values.size()) return DecodeError::truncated;
    if (!f(view(values.first(static_cast<std::size_t>(size))))) break;
    values = values.subspan(static_cast<std::size_t>(size));
  }
  return DecodeError::ok;
}

DecodeError delta_strings(std::span<const std::byte> values, std::uint64_t n, std::uint64_t most,
                          const F& f) {
  std::vector<std::int64_t> prefixes;
  std::size_t end = 0;
  DecodeError error = lengths(values, n, &prefixes, &end);
  if (error != DecodeError::ok) return error;
  std::string last;
  std::size_t i = 0;
  bool bad = false;
  error = delta_length(values.subspan(end), n, [&](std::string_view suffix) {
    const auto prefix = static_cast<std::uint64_t>(prefixes[i++]);
    bad = prefix > last.size() || prefix + suffix.size() > most;
    if (bad) return false;
    last.resize(prefix);
    last += suffix;
    return f(last);
  });
  return error == DecodeError::ok && bad ? DecodeError::out_of_range : error;
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
