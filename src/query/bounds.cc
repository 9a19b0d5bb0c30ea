#include "query/bounds.h"

#include <charconv>
#include <cmath>
#include <compare>
#include <optional>
#include <string_view>

#include "query/scalar.h"

namespace penstock::query {

namespace {

// What a comparison can come out as, for values of which only the least and the largest are known, as a set
// of kFalse, kTrue and kMissing. Blocks for which kTrue is not in the set are not read. `n > 500` over a row
// group with n in 3..500: a value is less or equal, never greater; so {false}, and none of it is read. Over
// 3..501 it is {false, true}: it has to be looked at.
//
// What is not known has to be in the set. A bound that cannot be parsed bounds nothing, and a count of
// missing values that is not there may be any.

// How a value compares with the constant, over all values between the bounds.
struct Position {
  bool less = true, equal = true, greater = true;  // possible
};

unsigned outcomes(const Position& p, Comparison op) {
  const bool yes_less = op == Comparison::lt || op == Comparison::le || op == Comparison::ne;
  const bool yes_equal = op == Comparison::le || op == Comparison::ge || op == Comparison::eq;
  const bool yes_greater = op == Comparison::gt || op == Comparison::ge || op == Comparison::ne;
  unsigned out = 0;
  if (p.less) out |= yes_less ? kTrue : kFalse;
  if (p.equal) out |= yes_equal ? kTrue : kFalse;
  if (p.greater) out |= yes_greater ? kTrue : kFalse;
  return out;
}

bool any_missing(const ColumnBounds& bounds) { return !bounds.missing || *bounds.missing > 0; }
bool all_missing(const ColumnBounds& bounds) {
  return bounds.missing && bounds.rows.size() > 0 && *bounds.missing >= bounds.rows.size();
}

// A bound as `text` spells it; nullopt: not a number.
std::optional<QueryValue> number_of(const std::optional<std::string>& text, NumberType type) {
  if (!text) return std::nullopt;
  const char *first = text->data(), *last = first + text->size();
  const auto parsed = [&](auto value) -> std::optional<QueryValue> {
    const auto result = std::from_chars(first, last, value);
    if (result.ec != std::errc() || result.ptr != last) return std::nullopt;
    return QueryValue{value};
  };
  if (!type.floating()) return type.is_unsigned() ? parsed(std::uint64_t{0}) : parsed(std::int64_t{0});
  auto value = parsed(0.0);
  if (value && std::isnan(std::get<double>(value->value))) return std::nullopt;
  return value;
}

}  // namespace

unsigned possible_of_number(const ColumnBounds* bounds, NumberType type, bool nullable, Comparison op,
                            const QueryValue& constant) {
  if (bounds == nullptr || type.boolean) return kAnything;
  Position position;
  // No value, no outcome of a comparison. What a missing one gives comes below.
  if (all_missing(*bounds)) {
    position = {false, false, false};
  } else {
    // If the least value is greater than the constant, all are; if it equals the constant, none is less.
    if (const auto least = number_of(bounds->min, type)) {
      const auto order = compare_numbers(*least, constant);
      if (order == std::partial_ordering::greater) position.equal = position.less = false;
      if (order == std::partial_ordering::equivalent) position.less = false;
      if (order == std::partial_ordering::unordered) return kAnything;
    }
    if (const auto most = number_of(bounds->max, type)) {
      const auto order = compare_numbers(*most, constant);
      if (order == std::partial_ordering::less) position.equal = position.greater = false;
      if (order == std::partial_ordering::equivalent) position.greater = false;
      if (order == std::partial_ordering::unordered) return kAnything;
    }
  }
  unsigned out = outcomes(position, op);
  if (nullable && any_missing(*bounds)) out |= kMissing;
  // NaN is neither less nor equal nor greater, and unequal.
  if (type.floating()) out |= op == Comparison::ne ? kTrue : kFalse;
  return out;
}

// A row group of "axon" to "cone" and the query drug == "dab": the largest is less, so that no row is equal.
// Against drug == "cones" it is not passed over: "cone" may be "cones and rods", cut short by the writer.
unsigned possible_of_text(const ColumnBounds* bounds, unsigned missing, Comparison op,
                          const std::string& constant) {
  if (bounds == nullptr) return kAnything;
  Position position;
  if (all_missing(*bounds)) {
    position = {false, false, false};
  } else {
    // The least string may have been cut short, too, which makes it smaller: it is a bound all the same.
    if (bounds->min && *bounds->min > constant) position.equal = position.less = false;
    // A writer may have cut the largest short: nothing that begins with it is beyond it.
    if (bounds->max && *bounds->max < constant && !constant.starts_with(*bounds->max)) {
      position.equal = position.greater = false;
    }
    if (bounds->min && *bounds->min == constant) position.less = false;
  }
  unsigned out = outcomes(position, op);
  if (any_missing(*bounds)) out |= missing;
  return out;
}

unsigned possible_of_boolean(const ColumnBounds* bounds) {
  if (bounds == nullptr) return kAnything;
  unsigned out = any_missing(*bounds) ? kMissing : 0U;
  if (all_missing(*bounds)) return out;
  // Bounds that are not there are unlike both words.
  if (bounds->min != "True") out |= kFalse;
  if (bounds->max != "False") out |= kTrue;
  return out;
}

unsigned possible_of_null(const ColumnBounds* bounds, bool nan_is_null) {
  if (bounds == nullptr) return kFalse | kTrue;
  if (all_missing(*bounds)) return kTrue;
  return kFalse | (nan_is_null || any_missing(*bounds) ? kTrue : 0U);
}

unsigned not_possible(unsigned a) {
  return (a & kMissing) | (a & kFalse ? kTrue : 0U) | (a & kTrue ? kFalse : 0U);
}

// The logic of three values that pandas has: a missing one is as good as either, so that false & missing is
// false, and true & missing is missing. Each outcome is possible that a pair of possible ones gives.
unsigned and_possible(unsigned a, unsigned b) {
  unsigned out = (a | b) & kFalse;
  if (a & b & kTrue) out |= kTrue;
  // Missing with missing or true is missing, either way round; with false it is false, which the first line
  // has.
  if ((a & kMissing && b & (kMissing | kTrue)) || (b & kMissing && a & kTrue)) out |= kMissing;
  return out;
}

// De Morgan.
unsigned or_possible(unsigned a, unsigned b) {
  return not_possible(and_possible(not_possible(a), not_possible(b)));
}

}  // namespace penstock::query
