// Constants of a query: Python's arithmetic on them, their order, and sets of them.
//
// Thread contract: pure functions; a set is immutable once made.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "penstock/query.h"
#include "query/source_text.h"
#include "query/syntax.h"
#include "query/values.h"
#include "source/table.h"

namespace penstock::query {

bool is_number(const QueryValue& value);  // booleans count
bool is_whole(const QueryValue& value);   // a boolean or an integer
// "the number 5", "the string 'x'", "None", "a list"
std::string describe(const QueryValue& value);

// As a float; of a number only.
double as_double(const QueryValue& value);
// Of two numbers: integers exactly, others as float64; unordered with NaN.
std::partial_ordering compare_numbers(const QueryValue& a, const QueryValue& b);

// a op b and -a as Python has it: errors point to `at` (division by zero, beyond 64 bits).
Result<QueryValue> calculate(Arithmetic op, const QueryValue& a, const QueryValue& b,
                             const SourceText& source, std::size_t at);
Result<QueryValue> negated(const QueryValue& a, const SourceText& source, std::size_t at);

// Whether an integer constant is a value of `type`.
bool fits(const QueryValue& whole, NumberType type);
// A constant as a column of `type` holds it, or rounds it: what numpy compares with. `type` is floating.
QueryValue rounded_to(NumberType type, const QueryValue& value);

// What a list of constants holds, for look-ups by value.
class ConstantSet {
 public:
  explicit ConstantSet(const std::vector<QueryValue>& values);
  // Bytes that a list takes as a set.
  static ByteCount bytes_of(const std::vector<QueryValue>& values);

  bool has_text(std::string_view text) const { return texts_.count(std::string(text)) > 0; }
  bool has_integer(std::int64_t value, bool is_unsigned) const;
  bool has_float(double value) const;
  // A category, spelled as text of `kind`.
  bool has_category(const std::string& text, Column::Kind kind) const;
  bool has_none() const { return none_ || nan_; }

 private:
  std::unordered_set<std::string> texts_;
  std::vector<std::int64_t> integers_;   // sorted; floats that are whole among them
  std::vector<std::uint64_t> unsigned_;  // sorted; those beyond int64
  std::vector<double> floats_;           // sorted; integers that are floats exactly among them
  bool none_ = false, nan_ = false;
};

}  // namespace penstock::query
