// The steps that queries are made of; bind.cc puts them together.
//
// Thread contract: immutable.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "query/columns.h"
#include "query/scalar.h"
#include "query/source_text.h"
#include "query/step.h"
#include "query/syntax.h"

namespace penstock::query {

// --- columns and constants ---

NumberPtr number_column(std::size_t column, const NamedColumn& info);
TruthPtr boolean_column(std::size_t column);
// The same value in every row; a number as `type` holds it.
NumberPtr constant_number(const QueryValue& value, NumberType type);
TruthPtr constant_truth(unsigned outcome);

// --- numbers ---

NumberPtr number_of_truth(TruthPtr truth);  // of type bool
// Calculated in type `in`; of integers, `result` may be f64: // and % by 0 are then inf, -inf and NaN.
NumberPtr calculated(Arithmetic op, NumberType in, NumberType result, NumberType a, NumberPtr left,
                     NumberType b, NumberPtr right, const SourceText& source, std::size_t at);
NumberPtr negated(NumberType type, NumberPtr of);
// Floats beside nullable numbers: pandas takes their NaN for missing.
NumberPtr missing_where_nan(NumberPtr of);

// A comparison with a constant that row groups may decide: `column` is compared as it stands.
struct Prunable {
  std::size_t column = 0;
  bool nullable = false;
  QueryValue constant;
};
TruthPtr compared(Comparison op, NumberType a, NumberPtr left, NumberType b, NumberPtr right,
                  const Prunable* prunable);
// `==`, `<` ... with None: False, `!=` True, where nothing is missing.
TruthPtr compared_with_none(bool outcome, NumberPtr of);
// In a list; never missing. `column`: of a column as it stands, else kNoColumn.
inline constexpr std::size_t kNoColumn = ~std::size_t{0};
TruthPtr in_list(NumberType type, bool nullable, NumberPtr of, std::vector<QueryValue> list,
                 std::size_t column);
TruthPtr number_is_null(bool nullable, NumberPtr of);
TruthPtr truth_is_null(TruthPtr of);

// --- text ---

// What is asked of a string or a category.
struct TextQuestion {
  // Of a category: its text, what its list spells, and its number there; of a string kind string and -1.
  std::function<bool(const std::string& text, Column::Kind kind, std::int64_t code)> holds;
  unsigned missing = kFalse;  // the outcome where there is none
  // What statistics tell; empty: nothing.
  std::function<unsigned(const ColumnBounds*)> possible;
};
// Answers for every category of every file are worked out now: `held` is their reservation.
TruthPtr asked(std::size_t column, const NamedColumn& info, TextQuestion question, Reservation held);
// Two columns of text against each other; `codes`: the order of their common list decides.
TruthPtr text_compared(Comparison op, std::size_t left, std::size_t right, bool codes, bool nullable);

// --- booleans ---

TruthPtr inverted(TruthPtr of);
TruthPtr all_of(std::vector<TruthPtr> parts);
TruthPtr any_of(std::vector<TruthPtr> parts);

}  // namespace penstock::query
