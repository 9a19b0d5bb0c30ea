// A value as the command line spells it, for --param name=value. It is read with the parser of queries, so
// that numbers, quoted strings and lists are written as inside a query. What cannot be read that way is text
// as it stands: a shell has taken the quotes away already, and "control=DMSO_TF" should mean the string. Only
// a text that begins with a quote or a bracket was meant to be read, and then the reader's error is shown.
#include <algorithm>
#include <string>

#include "penstock/query.h"
#include "query/bind.h"
#include "query/lexer.h"
#include "query/parser.h"
#include "query/scalar.h"

namespace penstock {

namespace {

using query::Node;

// A literal, its negative, or a list of these.
Result<QueryValue> literal(const Node& node, const query::SourceText& source) {
  switch (node.kind) {
    case Node::Kind::constant:
      return node.value;
    case Node::Kind::negate: {
      PENSTOCK_ASSIGN_OR_RETURN(const QueryValue inner, literal(*node.args[0], source));
      if (!query::is_number(inner)) return source.error(node.at, "- takes a number");
      return query::negated(inner, source, node.at);
    }
    case Node::Kind::list: {
      QueryValue::List values;
      for (const auto& item : node.args) {
        if (item->kind == Node::Kind::list) return source.error(item->at, "a list in a list");
        PENSTOCK_ASSIGN_OR_RETURN(QueryValue value, literal(*item, source));
        values.push_back(std::move(value));
      }
      return QueryValue{std::move(values)};
    }
    default:
      return source.error(node.at, "expected a number, a string, True, False, None, or a list of these");
  }
}

}  // namespace

Result<QueryValue> parse_query_value(std::string_view text) {
  const query::SourceText source("parameter", text);
  const auto tree = query::parse(source);
  if (tree.ok()) {
    auto value = literal(**tree, source);
    if (value.ok()) return value;
  }
  const bool spelled =
      !text.empty() && std::string_view("'\"[(").find(text.front()) != std::string_view::npos;
  if (!spelled) return QueryValue{std::string(text)};
  if (!tree.ok()) return tree.status();
  return literal(*tree.value(), source);
}

}  // namespace penstock
