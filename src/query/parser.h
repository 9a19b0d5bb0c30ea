// pandas' grammar of queries: Python's expressions, where & and | bind like `and` and `or` (docs/query.md).
//
// Thread contract: pure function. Memory: linear in the text.
#pragma once

#include <memory>

#include "penstock/status.h"
#include "query/source_text.h"
#include "query/syntax.h"

namespace penstock::query {

// invalid_argument with a position: no expression, something left over, nesting beyond kMostDepth, what the
// grammar leaves out of Python.
Result<std::unique_ptr<Node>> parse(const SourceText& source);

}  // namespace penstock::query
