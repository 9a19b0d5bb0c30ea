// Constants, worked out while a query is bound: "2 ** 10 - 1" is one number before the first row is looked
// at. They follow Python and not numpy: whole numbers do not wrap, and division by zero is an error.
//
// Python's integers have no limit. Here they are computed in 128 bits, which hold every sum and difference of
// two 64-bit numbers and in which products are checked; what does not fit in 64 bits at the end is an error
// at the operator's place.
//
// ConstantSet answers "is this value in the list" for `in`, with what pandas means by equal: 1, 1.0 and True
// are the same, "1" is another, and NaN is in a list that holds NaN (unlike with ==). A string that is
// missing is in a list with None or NaN.
#include "query/scalar.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "source/numbers.h"

namespace penstock::query {

namespace {

__extension__ using Wide = __int128;  // holds every integer of 64 bits, signed or not, and their sums

Wide as_wide(const QueryValue& value) {
  if (const auto* b = std::get_if<bool>(&value.value)) return *b ? 1 : 0;
  if (const auto* u = std::get_if<std::uint64_t>(&value.value)) return *u;
  const auto* i = std::get_if<std::int64_t>(&value.value);
  return i != nullptr ? *i : 0;
}

constexpr Wide kLeast = std::numeric_limits<std::int64_t>::min();
constexpr Wide kMost = std::numeric_limits<std::uint64_t>::max();

std::optional<QueryValue> narrow(Wide value) {
  if (value < kLeast || value > kMost) return std::nullopt;
  if (value > std::numeric_limits<std::int64_t>::max()) return QueryValue{static_cast<std::uint64_t>(value)};
  return QueryValue{static_cast<std::int64_t>(value)};
}

// Python's // and % of integers; b is not 0.
// C++ rounds towards zero, Python towards minus infinity: -7 // 2 is -4. One less where signs differ and
// something is left over.
Wide floor_divided(Wide a, Wide b) { return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0); }

// Bases beyond -1..1 grow out of 64 bits within 64 steps, so that the loop is short whatever the exponent is.
std::optional<Wide> to_power(Wide base, Wide exponent) {
  if (base == 0 || base == 1 || exponent == 0) return exponent == 0 ? 1 : base;
  if (base == -1) return exponent % 2 == 0 ? 1 : -1;
  Wide out = 1;
  for (Wide i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(out, base, &out) || out < kLeast || out > kMost) return std::nullopt;
  }
  return out;
}

std::optional<Wide> whole(Arithmetic op, Wide a, Wide b) {
  switch (op) {
    case Arithmetic::add:
      return a + b;
    case Arithmetic::subtract:
      return a - b;
    case Arithmetic::multiply: {
      Wide out = 0;
      if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
      return out;
    }
    case Arithmetic::floor_divide:
      return floor_divided(a, b);
    case Arithmetic::modulo:
      return a - floor_divided(a, b) * b;
    default:
      return to_power(a, b);
  }
}

// A float that is a whole number of 64 bits.
// Both limits are powers of two and so exact as float64; the upper one is the first that does not fit. NaN
// fails every comparison.
std::optional<Wide> whole_of(double value) {
  if (!(value >= -9223372036854775808.0 && value < 18446744073709551616.0) || std::floor(value) != value) {
    return std::nullopt;
  }
  return static_cast<Wide>(value);
}

}  // namespace

bool is_whole(const QueryValue& value) {
  return std::holds_alternative<bool>(value.value) || std::holds_alternative<std::int64_t>(value.value) ||
         std::holds_alternative<std::uint64_t>(value.value);
}

bool is_number(const QueryValue& value) {
  return is_whole(value) || std::holds_alternative<double>(value.value);
}

std::string describe(const QueryValue& value) {
  if (const auto* text = std::get_if<std::string>(&value.value)) {
    return fmt::format("the string '{}'", text->size() > 40 ? text->substr(0, 40) + "..." : *text);
  }
  if (const auto* truth = std::get_if<bool>(&value.value)) return *truth ? "True" : "False";
  if (const auto* i = std::get_if<std::int64_t>(&value.value)) return fmt::format("the number {}", *i);
  if (const auto* u = std::get_if<std::uint64_t>(&value.value)) return fmt::format("the number {}", *u);
  if (const auto* d = std::get_if<double>(&value.value)) return "the number " + float_text(*d);
  return std::holds_alternative<QueryValue::List>(value.value) ? "a list" : "None";
}

double as_double(const QueryValue& value) {
  if (const auto* d = std::get_if<double>(&value.value)) return *d;
  return static_cast<double>(as_wide(value));
}

std::partial_ordering compare_numbers(const QueryValue& a, const QueryValue& b) {
  // numpy compares an integer with a float as two float64, and so do rows.
  if (!is_whole(a) || !is_whole(b)) return as_double(a) <=> as_double(b);
  const Wide x = as_wide(a), y = as_wide(b);
  return x < y   ? std::partial_ordering::less
         : x > y ? std::partial_ordering::greater
                 : std::partial_ordering::equivalent;
}

Result<QueryValue> calculate(Arithmetic op, const QueryValue& a, const QueryValue& b,
                             const SourceText& source, std::size_t at) {
  const bool divides = op == Arithmetic::divide || op == Arithmetic::floor_divide || op == Arithmetic::modulo;
  if (divides && as_double(b) == 0) return source.error(at, "division by zero");
  // 2 ** -1 is 0.5 in Python.
  const bool fraction = op == Arithmetic::power && as_double(b) < 0;
  if (is_whole(a) && is_whole(b) && op != Arithmetic::divide && !fraction) {
    const auto value = whole(op, as_wide(a), as_wide(b));
    const auto narrowed = value ? narrow(*value) : std::nullopt;
    if (!narrowed) return source.error(at, "the result is a whole number beyond 64 bits");
    return *narrowed;
  }
  const NumberType type{false, NumericType::f64};
  Numbers left{{}, {as_double(a)}, {}};
  if (fraction && left.floats[0] == 0) return source.error(at, "division by zero");
  // A block of one row: constants and columns share the code that computes with floats.
  query::calculate(op, type, left, {{}, {as_double(b)}, {}});
  return QueryValue{left.floats[0]};
}

Result<QueryValue> negated(const QueryValue& a, const SourceText& source, std::size_t at) {
  if (const auto* d = std::get_if<double>(&a.value)) return QueryValue{-*d};
  const auto value = narrow(-as_wide(a));
  if (!value) return source.error(at, "the result is a whole number beyond 64 bits");
  return *value;
}

bool fits(const QueryValue& value, NumberType type) {
  const Wide w = as_wide(value);
  return with_integer(type.type, [w]<class T>() {
    return w >= std::numeric_limits<T>::min() && w <= std::numeric_limits<T>::max();
  });
}

// 0.1 beside a float32 column is float32(0.1), as in numpy, or `score == 0.1` would hold for no row.
QueryValue rounded_to(NumberType type, const QueryValue& value) {
  Numbers one{{}, {as_double(value)}, {}};
  convert({false, NumericType::f64}, type, one);
  return {one.floats[0]};
}

ByteCount ConstantSet::bytes_of(const std::vector<QueryValue>& values) {
  ByteCount bytes = 0;
  for (const QueryValue& value : values) {
    const auto* text = std::get_if<std::string>(&value.value);
    // A node of the set, its bucket, and characters; or a number in two lists.
    bytes += text != nullptr ? sizeof(std::string) + 32 + text->size() : 16;
  }
  return bytes;
}

ConstantSet::ConstantSet(const std::vector<QueryValue>& values) {
  for (const QueryValue& value : values) {
    if (const auto* text = std::get_if<std::string>(&value.value)) {
      texts_.insert(*text);
      continue;
    }
    if (!is_number(value)) {
      none_ = true;
      continue;
    }
    const double as_float = as_double(value);
    if (std::isnan(as_float)) {
      nan_ = true;
      continue;
    }
    const auto integer = is_whole(value) ? std::optional(as_wide(value)) : whole_of(as_float);
    // Equal as numbers, not as they are rounded.
    // 2^53 + 1 rounds to 2^53 as a float. In the list it stands for itself only: a float column that holds
    // 2^53 does not contain it.
    if (!integer || whole_of(as_float) == integer) floats_.push_back(as_float);
    if (!integer) continue;
    if (*integer > std::numeric_limits<std::int64_t>::max()) {
      unsigned_.push_back(static_cast<std::uint64_t>(*integer));
    } else {
      integers_.push_back(static_cast<std::int64_t>(*integer));
    }
  }
  std::sort(integers_.begin(), integers_.end());
  std::sort(unsigned_.begin(), unsigned_.end());
  std::sort(floats_.begin(), floats_.end());
}

bool ConstantSet::has_integer(std::int64_t value, bool is_unsigned) const {
  // A uint64 beyond int64, whose bits pass as a negative number.
  if (is_unsigned && value < 0) {
    return std::binary_search(unsigned_.begin(), unsigned_.end(), static_cast<std::uint64_t>(value));
  }
  return std::binary_search(integers_.begin(), integers_.end(), value);
}

bool ConstantSet::has_float(double value) const {
  return std::isnan(value) ? nan_ : std::binary_search(floats_.begin(), floats_.end(), value);
}

// Categories of numbers are kept as text (source/table.h). They are read back here, so that `code in [1, 2]`
// finds the category 1 of a list of integers and not the category "1" of a list of strings.
bool ConstantSet::has_category(const std::string& text, Column::Kind kind) const {
  switch (kind) {
    case Column::Kind::boolean:
      return has_integer(text == "True" ? 1 : 0, false);
    case Column::Kind::integer: {
      std::int64_t value = 0;
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
      if (parsed.ec == std::errc()) return has_integer(value, false);
      std::uint64_t large = 0;
      const auto again = std::from_chars(text.data(), text.data() + text.size(), large);
      return again.ec == std::errc() && has_integer(static_cast<std::int64_t>(large), true);
    }
    case Column::Kind::floating: {
      double value = 0;
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
      return parsed.ec == std::errc() && has_float(value);
    }
    default:
      return has_text(text);
  }
}

}  // namespace penstock::query
