// The tree that a query is parsed into: what was written, before anything is known of columns.
//
// Thread contract: immutable once parsed. kMostDepth bounds every recursion over it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "penstock/query.h"

namespace penstock::query {

inline constexpr std::size_t kMostDepth = 100;

enum class Arithmetic : std::uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };
enum class Comparison : std::uint8_t { lt, le, gt, ge, eq, ne, in, not_in };
enum class TextTest : std::uint8_t { startswith, endswith, contains };

const char* symbol(Arithmetic op);
const char* symbol(Comparison op);

struct Node {
  enum class Kind : std::uint8_t {
    constant,    // value
    list,        // args, each of them a constant expression
    column,      // name; `quoted`: in back-quotes
    parameter,   // name
    negate,      // args[0]
    invert,      // args[0]: not, ~
    arithmetic,  // args[0] op args[1]
    compare,     // args[0] comparisons[0].op args[1] comparisons[1].op args[2] ...
    all_of,      // args: and, &
    any_of,      // args: or, |
    text_test,   // args[0].str.test(args[1]); `missing`: what na= says; `regex`: not switched off
    is_null      // args[0]; `negated`: notnull
  };
  struct Step {
    Comparison op = Comparison::eq;
    std::size_t at = 0;
  };

  Kind kind = Kind::constant;
  std::size_t at = 0;     // the byte that an error points to
  std::size_t depth = 1;  // of the tree below
  QueryValue value;
  std::string name;
  bool quoted = false, negated = false, regex = false;
  Arithmetic op = Arithmetic::add;
  TextTest test = TextTest::contains;
  QueryValue missing;
  std::vector<Step> comparisons;
  std::vector<std::unique_ptr<Node>> args;
};

}  // namespace penstock::query
