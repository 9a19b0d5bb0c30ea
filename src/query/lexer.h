// Words of a query: Python's, as far as pandas' queries use them.
//
// Thread contract: pure function. Memory: tokens are linear in a text that kMostText bounds.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "penstock/query.h"
#include "penstock/status.h"
#include "query/source_text.h"

namespace penstock::query {

inline constexpr std::size_t kMostText = 64 << 10;  // bytes of an expression

struct Token {
  enum class Kind { end, name, quoted_name, parameter, literal, symbol };
  Kind kind = Kind::end;
  std::size_t at = 0;  // first byte
  std::string text;    // of names without their quotes, of symbols; `not` and the like are names
  QueryValue value;    // of literals: numbers and strings
};

// Ends with a token `end`. invalid_argument: a text too long, a string without an end, an unknown escape or
// character, a number beyond 64 bits.
Result<std::vector<Token>> tokenize(const SourceText& source);

}  // namespace penstock::query
