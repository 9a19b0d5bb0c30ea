// What the statistics of a row group (ColumnBounds) say about a comparison, without reading its rows.
//
// Conservative: without a bound, or with one that cannot be understood, everything is possible. Floats may be
// NaN whatever the bounds say; truncated strings are bounds all the same. Thread contract: pure functions.
#pragma once

#include <string>
#include <vector>

#include "penstock/query.h"
#include "query/step.h"
#include "query/syntax.h"
#include "query/values.h"

namespace penstock::query {

// value op constant, for numbers of `type`: `constant` is one, as the type holds it.
unsigned possible_of_number(const ColumnBounds* bounds, NumberType type, bool nullable, Comparison op,
                            const QueryValue& constant);
// text op constant (not `in`); `missing`: what a missing string gives.
unsigned possible_of_text(const ColumnBounds* bounds, unsigned missing, Comparison op,
                          const std::string& constant);
// A boolean column by itself.
unsigned possible_of_boolean(const ColumnBounds* bounds);
// Whether a column of this kind is missing.
unsigned possible_of_null(const ColumnBounds* bounds, bool nan_is_null);

// not, and, or of what is possible.
unsigned not_possible(unsigned a);
unsigned and_possible(unsigned a, unsigned b);
unsigned or_possible(unsigned a, unsigned b);

}  // namespace penstock::query
