// Values that go into a query beside its text: what @name stands for.
//
//   penstock::QueryParams params;
//   params["least"] = {std::int64_t{500}};
//   auto rows = dataset->query("n_counts >= @least and drug != 'DMSO_TF'", params);
//
// docs/query.md has the grammar. Thread contract: values.
// Layer: base.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "penstock/status.h"

namespace penstock {

// None, a boolean, a whole number (uint64 only beyond int64), a float, a string, or a list of these.
struct QueryValue {
  using List = std::vector<QueryValue>;
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, List> value;
};

using QueryParams = std::map<std::string, QueryValue>;

// A value as a query spells it: 5, -1.5, 'text', True, None, ['a', 'b']. Anything that begins like none of
// these is a string as it stands, so that `drug=DMSO_TF` needs no quotes on a command line; one that begins
// like a list or a quoted string and is none is invalid_argument.
Result<QueryValue> parse_query_value(std::string_view text);

}  // namespace penstock
