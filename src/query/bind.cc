#include "query/bind.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/names.h"
#include "memory/reserve_for.h"
#include "query/bounds.h"
#include "query/scalar.h"
#include "query/steps.h"

namespace penstock::query {

namespace {

using Kind = Node::Kind;
using List = QueryValue::List;

// From the tree of an expression to steps that run over blocks of rows. Names become columns, types are
// checked where they meet, and whatever does not depend on rows is worked out here, once.
//
//     n_counts > 2 * @least and drug in ["a", "b"]          with least = 5
//
//     2 * @least       two constants: the constant 10
//     n_counts > 10    a number and a constant: a step that compares. From a row group's bounds it also says
//                      whether any row of it can be true
//     drug in [...]    text and a list: each category is asked once, and rows look up what was answered for
//                      their code
//     and              two truths: a step
//
// What pandas refuses, or would answer with something nobody means, is an error that points at its place.

// A part of the expression whose type is known.
struct Operand {
  enum class Form : std::uint8_t { constant, list, number, truth, text } form = Form::constant;
  std::size_t at = 0;
  QueryValue value;                // constant; list
  NumberPtr number;                // number
  TruthPtr truth;                  // truth
  NumberType type;                 // number
  bool nullable = false;           // number and truth
  std::size_t column = kNoColumn;  // number, truth and text that is a column as it stands
  std::string what;                // for messages: "column 'n' (int64)"
};

using Form = Operand::Form;

bool is_text(const QueryValue& value) { return std::holds_alternative<std::string>(value.value); }
bool is_none(const QueryValue& value) { return std::holds_alternative<std::monostate>(value.value); }
bool is_list(const QueryValue& value) { return std::holds_alternative<List>(value.value); }

// 5 < n is n > 5: constants stand on the right from here on.
Comparison mirrored(Comparison op) {
  switch (op) {
    case Comparison::lt:
      return Comparison::gt;
    case Comparison::le:
      return Comparison::ge;
    case Comparison::gt:
      return Comparison::lt;
    case Comparison::ge:
      return Comparison::le;
    default:
      return op;
  }
}

bool orders(Comparison op) { return op <= Comparison::ge; }
bool negates(Comparison op) { return op == Comparison::ne || op == Comparison::not_in; }

class Binder {
 public:
  Binder(const QueryParams& params, std::span<const FileTable> files, MemoryBudget& budget,
         const SourceText& source)
      : params_(params), files_(files), budget_(budget), source_(source) {}

  Result<Bound> run(const Node& tree) {
    // `True` by itself is a condition, and so is a column of booleans.
    PENSTOCK_ASSIGN_OR_RETURN(Operand whole, bind(tree));
    if (whole.form != Form::truth && !std::holds_alternative<bool>(whole.value.value)) {
      return source_.error(whole.at, fmt::format("a query is a condition, and this is {}", whole.what));
    }
    return Bound{truth_of(whole), std::move(columns_), std::move(lists_)};
  }

 private:
  // --- leaves ---

  // Recursion is bounded: the parser lets no tree be deeper than kMostDepth.
  Result<Operand> bind(const Node& node) {
    switch (node.kind) {
      case Kind::constant:
        return constant(node.at, node.value);
      case Kind::list:
        return list(node);
      case Kind::column:
        return column(node);
      case Kind::parameter:
        return parameter(node);
      case Kind::negate:
        return negate(node);
      case Kind::invert:
        return invert(node);
      case Kind::arithmetic:
        return arithmetic(node);
      case Kind::compare:
        return comparisons(node);
      case Kind::all_of:
      case Kind::any_of:
        return joined(node);
      case Kind::text_test:
        return text_test(node);
      case Kind::is_null:
        return is_null(node);
    }
    return Status::internal("query: a node of no kind");
  }

  static Operand constant(std::size_t at, QueryValue value) {
    Operand out;
    out.at = at;
    out.form = is_list(value) ? Form::list : Form::constant;
    out.what = describe(value);
    out.value = std::move(value);
    return out;
  }

  Result<Operand> list(const Node& node) {
    List values;
    for (const auto& item : node.args) {
      PENSTOCK_ASSIGN_OR_RETURN(Operand one, bind(*item));
      // Arithmetic on constants has become a constant by now: [2 * 3, -1] is a list, [n] is none.
      if (one.form != Form::constant) {
        return source_.error(one.at, fmt::format("a list holds constants, and this is {}", one.what));
      }
      values.push_back(std::move(one.value));
    }
    return constant(node.at, {std::move(values)});
  }

  Result<Operand> parameter(const Node& node) {
    const auto found = params_.find(node.name);
    if (found == params_.end()) {
      std::vector<std::string> names;
      for (const auto& [name, value] : params_) names.push_back(name);
      return source_.not_found(
          node.at, fmt::format("no value is given for @{}; {}", node.name,
                               names.empty() ? "no parameters are given" : suggest_names(node.name, names)));
    }
    if (const auto* items = std::get_if<List>(&found->second.value)) {
      if (std::any_of(items->begin(), items->end(), is_list)) {
        return source_.error(node.at, fmt::format("@{} is a list of lists", node.name));
      }
      // A list of a million values is copied for each place where the query names it, and each copy is
      // charged.
      PENSTOCK_RETURN_IF_ERROR(hold_list(*items));  // the copy
    }
    return constant(node.at, found->second);
  }

  Result<Operand> column(const Node& node) {
    // Each column is opened once, however often it is named; `index` in back-quotes is a column of that name
    // and not the index.
    const auto known = std::find_if(columns_.begin(), columns_.end(), [&](const NamedColumn& each) {
      return each.name == node.name && !(each.is_index && node.quoted);
    });
    const auto number = static_cast<std::size_t>(known - columns_.begin());
    if (known == columns_.end()) {
      PENSTOCK_ASSIGN_OR_RETURN(NamedColumn opened,
                                open_column(node.name, node.quoted, files_, budget_, source_, node.at));
      columns_.push_back(std::move(opened));
    }
    const NamedColumn& info = columns_[number];
    Operand out;
    out.at = node.at;
    out.column = number;
    out.what = info.describe();
    out.nullable = info.nullable;
    out.type = info.type;
    if (info.text) {
      out.form = Form::text;
    } else if (info.type.boolean) {
      out.form = Form::truth;
      out.truth = boolean_column(number);
    } else {
      out.form = Form::number;
      out.number = number_column(number, info);
      // Of files some of which have a mask and others NaN, both are missing.
      const bool some_without = std::any_of(info.files.begin(), info.files.end(),
                                            [](const auto& file) { return !file.column->masked(); });
      if (info.nullable && some_without && info.type.floating()) {
        out.number = missing_where_nan(std::move(out.number));
      }
    }
    return out;
  }

  // Room for a list and for the set that is made of it.
  Status hold_list(const List& values) {
    const ByteCount bytes = values.size() * sizeof(QueryValue) + ConstantSet::bytes_of(values);
    PENSTOCK_ASSIGN_OR_RETURN(Reservation room, reserve_for("query", budget_, MemoryTag::obs, bytes));
    lists_.push_back(std::move(room));
    return {};
  }

  // --- what operands are ---

  static Operand truth(std::size_t at, TruthPtr step, bool nullable) {
    Operand out;
    out.form = Form::truth;
    out.at = at;
    out.truth = std::move(step);
    out.nullable = nullable;
    out.type = {true, NumericType::u8};
    out.what = "a condition (bool)";
    return out;
  }

  // A query's text is short, but a chain like a < b < c runs b twice, and chains inside of chains double
  // again: some hundred characters can ask for any number of steps. The bound is on what runs.
  Result<Operand> checked(Operand operand) const {
    const std::size_t cost = operand.truth    ? operand.truth->cost()
                             : operand.number ? operand.number->cost()
                                              : 0;
    if (cost > kMostCost) return source_.error(operand.at, "the expression is too large");
    return operand;
  }

  static TruthPtr truth_of(const Operand& operand) {
    if (operand.truth) return operand.truth;
    return constant_truth(std::get<bool>(operand.value.value) ? kTrue : kFalse);
  }

  // Booleans and numbers as numbers; null: neither.
  static NumberPtr number_of(const Operand& operand) {
    if (operand.form == Form::truth) return number_of_truth(operand.truth);
    return operand.number;
  }

  // The same beside another operand.
  // pandas takes the NaN of a float column for missing as soon as a nullable column stands beside it, and
  // leaves it a number otherwise.
  static NumberPtr number_beside(const Operand& operand, const Operand& other) {
    NumberPtr step = number_of(operand);
    const bool plain = operand.form == Form::number && operand.type.floating() && !operand.nullable;
    return plain && other.nullable ? missing_where_nan(std::move(step)) : step;
  }

  static bool is_condition(const Operand& operand) {
    return operand.form == Form::truth || std::holds_alternative<bool>(operand.value.value);
  }

  static bool is_numeric(const Operand& operand) {
    return operand.form == Form::number || operand.form == Form::truth ||
           (operand.form == Form::constant && is_number(operand.value));
  }

  // --- and, or, not ---

  // Parts that are conditions only: 1 and 2, which Python answers with 2, is no question about rows.
  Result<Operand> joined(const Node& node) {
    std::vector<TruthPtr> parts;
    bool nullable = false;
    for (const auto& each : node.args) {
      PENSTOCK_ASSIGN_OR_RETURN(const Operand part, bind(*each));
      if (!is_condition(part)) {
        return source_.error(part.at, fmt::format("'{}' joins conditions, and this is {}",
                                                  node.kind == Kind::all_of ? "and" : "or", part.what));
      }
      parts.push_back(truth_of(part));
      nullable |= part.nullable;
    }
    return checked(truth(
        node.at, node.kind == Kind::all_of ? all_of(std::move(parts)) : any_of(std::move(parts)), nullable));
  }

  Result<Operand> invert(const Node& node) {
    PENSTOCK_ASSIGN_OR_RETURN(const Operand of, bind(*node.args[0]));
    if (!is_condition(of)) {
      return source_.error(of.at, fmt::format("'not' takes a condition, and this is {}", of.what));
    }
    return truth(node.at, inverted(truth_of(of)), of.nullable);
  }

  // --- arithmetic ---

  Result<Operand> negate(const Node& node) {
    PENSTOCK_ASSIGN_OR_RETURN(Operand of, bind(*node.args[0]));
    // -9223372036854775808 is the negative of a number beyond int64, and has to be worked out before it is
    // given a type.
    if (of.form == Form::constant && is_number(of.value)) {
      PENSTOCK_ASSIGN_OR_RETURN(QueryValue value, negated(of.value, source_, node.at));
      return constant(node.at, std::move(value));
    }
    if (of.form != Form::number) {
      return source_.error(node.at, fmt::format("- takes a number, and this is {}", of.what));
    }
    return calculated_from(node.at, of.type, of.nullable, query::negated(of.type, of.number));
  }

  static Operand calculated_from(std::size_t at, NumberType type, bool nullable, NumberPtr step) {
    Operand out;
    out.form = Form::number;
    out.at = at;
    out.type = type;
    out.nullable = nullable;
    out.number = std::move(step);
    out.what = fmt::format("an expression ({})", name_of(type));
    return out;
  }

  // The type in which numpy calculates with a constant: the other operand's, if that can hold it.
  Result<NumberType> type_beside(const Operand& constant, NumberType other) const {
    if (std::holds_alternative<bool>(constant.value.value)) return NumberType{true, NumericType::u8};
    // A float beside a float32 column is a float32, and beside integers a float64.
    if (std::holds_alternative<double>(constant.value.value)) {
      return other.floating() ? other : NumberType{false, NumericType::f64};
    }
    NumberType type = other.boolean ? NumberType{false, NumericType::i64} : other;
    // numpy raises an error for int8 + 1000 (since its version 2), and so does this.
    if (!type.floating() && !fits(constant.value, type)) {
      return source_.error(constant.at, fmt::format("{} does not fit {}, in which numpy calculates here: use "
                                                    "a float to calculate in float64",
                                                    constant.what, name_of(type)));
    }
    return type;
  }

  Result<Operand> arithmetic(const Node& node) {
    PENSTOCK_ASSIGN_OR_RETURN(const Operand left, bind(*node.args[0]));
    PENSTOCK_ASSIGN_OR_RETURN(const Operand right, bind(*node.args[1]));
    if (!is_numeric(left) || !is_numeric(right)) {
      return source_.error(node.at, fmt::format("{} takes numbers: {} {} {}", symbol(node.op), left.what,
                                                symbol(node.op), right.what));
    }
    if (left.form == Form::constant && right.form == Form::constant) {
      PENSTOCK_ASSIGN_OR_RETURN(QueryValue value,
                                query::calculate(node.op, left.value, right.value, source_, node.at));
      return constant(node.at, std::move(value));
    }
    NumberType a = left.type, b = right.type;
    // A quotient is a float whatever the integers are.
    const auto beside = [&](const Operand& constant, NumberType other) -> Result<NumberType> {
      if (node.op == Arithmetic::divide && !other.floating()) return NumberType{false, NumericType::f64};
      return type_beside(constant, other);
    };
    if (left.form == Form::constant) {
      PENSTOCK_ASSIGN_OR_RETURN(a, beside(left, b));
    }
    if (right.form == Form::constant) {
      PENSTOCK_ASSIGN_OR_RETURN(b, beside(right, a));
    }
    NumberType result = promote(a, b);
    if (result.boolean) {
      return source_.error(node.at, fmt::format("{} takes numbers, and both sides are booleans: {} {} {}",
                                                symbol(node.op), left.what, symbol(node.op), right.what));
    }
    const bool nullable = left.nullable || right.nullable;
    // Integers keep their type through + - * and **. A quotient is a float64. // and % are integers where
    // nothing can be divided by 0: the divisor is a constant other than 0, or the column is one of pandas'
    // nullable integers, which give 0.
    const NumberType whole = result;
    const bool by_zero = right.form != Form::constant || as_double(right.value) == 0;
    const bool rounds = node.op == Arithmetic::floor_divide || node.op == Arithmetic::modulo;
    // Integers divided by what may be 0 are floats, to hold inf and nan; pandas' nullable integers give 0.
    if (!result.floating() && (node.op == Arithmetic::divide || (rounds && by_zero && !left.nullable))) {
      result = {false, NumericType::f64};
    }
    // Each side is converted from its own type (a, b) to the one that is calculated in.
    NumberPtr x = left.form == Form::constant ? constant_number(left.value, a) : number_beside(left, right);
    NumberPtr y = right.form == Form::constant ? constant_number(right.value, b) : number_beside(right, left);
    return checked(calculated_from(node.at, result, nullable,
                                   calculated(node.op, rounds ? whole : result, result, a, std::move(x), b,
                                              std::move(y), source_, node.at)));
  }

  // --- comparisons ---

  // a < b < c is (a < b) and (b < c).
  Result<Operand> comparisons(const Node& node) {
    std::vector<Operand> operands;
    bool nullable = false;
    for (const auto& each : node.args) {
      PENSTOCK_ASSIGN_OR_RETURN(Operand operand, bind(*each));
      nullable |= operand.nullable;
      operands.push_back(std::move(operand));
    }
    std::vector<TruthPtr> parts;
    for (std::size_t i = 0; i < node.comparisons.size(); ++i) {
      const Node::Step& step = node.comparisons[i];
      PENSTOCK_ASSIGN_OR_RETURN(TruthPtr part, compare(step.op, operands[i], operands[i + 1], step.at));
      parts.push_back(std::move(part));
    }
    // A middle operand of a chain runs once for each side.
    return checked(truth(node.at, parts.size() == 1 ? parts.front() : all_of(std::move(parts)), nullable));
  }

  Status mismatch(Comparison op, const Operand& left, const Operand& right, std::size_t at,
                  std::string_view why = {}) const {
    return source_.error(at, fmt::format("cannot compare {} {} {}{}{}", left.what, symbol(op), right.what,
                                         why.empty() ? "" : ": ", why));
  }

  // What is compared with what, and how (text is a column of strings or categories):
  //
  //     number or truth, the same     value by value (compared)
  //     text, a string                ==, !=, in: as a list of one; <, >: by code point or a category's rank
  //     text, text                    value by value (text_pair)
  //     anything, a list              ==, !=, in: is it in the list (contained)
  //     anything, None                nothing equals it (with_none)
  //     constant, constant            now (constants)
  //     number, text; anything else   an error that names both sides
  //
  // Constants move to the right here, with the operator turned round, so that the rest has half of the cases.
  Result<TruthPtr> compare(Comparison op, const Operand& left, const Operand& right, std::size_t at) {
    const bool membership = op == Comparison::in || op == Comparison::not_in;
    const bool equality = op == Comparison::eq || op == Comparison::ne || membership;
    // As in pandas, == with a list is `in`; so is a string beside `in`, on either side.
    if (right.form == Form::list && left.form != Form::list && equality) {
      return contained(op, left, std::get<List>(right.value.value));
    }
    if (left.form == Form::list && right.form != Form::list && equality) {
      return contained(op, right, std::get<List>(left.value.value));
    }
    if (left.form == Form::list || right.form == Form::list) return mismatch(op, left, right, at);
    if (left.form == Form::constant && right.form == Form::constant) return constants(op, left, right, at);
    if (left.form == Form::constant) {
      if (membership && !is_text(left.value)) return mismatch(op, left, right, at, "`in` takes a list");
      return compare(mirrored(op), right, left, at, membership);
    }
    return compare(op, left, right, at, membership);
  }

  // `left` is no constant, and neither is a list.
  Result<TruthPtr> compare(Comparison op, const Operand& left, const Operand& right, std::size_t at,
                           bool membership) {
    const bool with_constant = right.form == Form::constant;
    // One string is a list of one: text that equals it, or is in it, is found by the same set and the same
    // statistics.
    if (with_constant && is_text(right.value) && !orders(op)) return contained(op, left, {right.value});
    if (membership) return mismatch(op, left, right, at, "`in` takes a list");
    if (with_constant && is_none(right.value)) return with_none(op, left);
    // NaN is missing beside text, too.
    const auto* number = with_constant ? std::get_if<double>(&right.value.value) : nullptr;
    if (left.form == Form::text && number != nullptr && std::isnan(*number) && !orders(op)) {
      return with_none(op, left);
    }
    if (left.form == Form::text)
      return with_constant ? text_constant(op, left, right, at) : text_pair(op, left, right, at);
    if (right.form == Form::text || !is_numeric(right)) return mismatch(op, left, right, at);
    if (!with_constant) {
      return compared(op, left.type, number_beside(left, right), right.type, number_beside(right, left),
                      nullptr);
    }
    // numpy compares an array of floats with a constant that is rounded to its type.
    NumberType type;
    QueryValue value = right.value;
    if (left.type.floating()) {
      type = left.type;
      // score == 0.1 for a float32 column compares with float32(0.1), or it would hold for no row.
      value = rounded_to(type, value);
    } else if (std::holds_alternative<double>(value.value)) {
      type = {false, NumericType::f64};
    } else {
      type = {false,
              std::holds_alternative<std::uint64_t>(value.value) ? NumericType::u64 : NumericType::i64};
    }
    const Prunable prunable{left.column, left.nullable, value};
    // Bounds are known of columns as they are stored and not of what is calculated from them.
    const bool prunes = left.column != kNoColumn && left.form == Form::number;
    return compared(op, left.type, number_of(left), type, constant_number(value, type),
                    prunes ? &prunable : nullptr);
  }

  Result<TruthPtr> constants(Comparison op, const Operand& left, const Operand& right, std::size_t at) const {
    const auto outcome = [](bool yes) { return constant_truth(yes ? kTrue : kFalse); };
    // Unordered stays for values of different kinds: "a" == 5 is false, and != is true.
    std::partial_ordering order = std::partial_ordering::unordered;
    const bool texts = is_text(left.value) && is_text(right.value);
    if (texts) {
      order = std::get<std::string>(left.value.value) <=> std::get<std::string>(right.value.value);
    } else if (is_number(left.value) && is_number(right.value)) {
      order = compare_numbers(left.value, right.value);
    } else if (orders(op)) {
      return mismatch(op, left, right, at);
    }
    switch (op) {
      case Comparison::lt:
        return outcome(order < 0);
      case Comparison::le:
        return outcome(order <= 0);
      case Comparison::gt:
        return outcome(order > 0);
      case Comparison::ge:
        return outcome(order >= 0);
      case Comparison::eq:
        return outcome(order == 0);
      case Comparison::ne:
        return outcome(!(order == 0));
      default:
        if (!texts) return mismatch(op, left, right, at, "`in` takes a list");
        return outcome((order == 0) == (op == Comparison::in));
    }
  }

  // None equals nothing, and nothing is less or greater.
  Result<TruthPtr> with_none(Comparison op, const Operand& left) const {
    const bool outcome = op == Comparison::ne;
    if (left.form != Form::text) return compared_with_none(outcome, number_of(left));
    return constant_truth(left.nullable ? kMissing : outcome ? kTrue : kFalse);
  }

  // --- lists and text ---

  // != and `not in` are the opposite of what the list says, missing values included: a missing value is in no
  // list unless None is in it, so that it passes `not in`.
  Result<TruthPtr> contained(Comparison op, const Operand& of, const List& values) {
    PENSTOCK_RETURN_IF_ERROR(hold_list(values));
    TruthPtr found;
    if (of.form == Form::constant) {
      // A constant in a list of constants: the answer is known now.
      const ConstantSet set(values);
      bool in = false;
      if (is_text(of.value)) {
        in = set.has_text(std::get<std::string>(of.value.value));
      } else if (std::holds_alternative<double>(of.value.value)) {
        in = set.has_float(as_double(of.value));
      } else if (is_number(of.value)) {
        const auto* large = std::get_if<std::uint64_t>(&of.value.value);
        in = large != nullptr ? set.has_integer(static_cast<std::int64_t>(*large), true)
                              : set.has_integer(static_cast<std::int64_t>(as_whole(of.value)), false);
      } else {
        in = set.has_none();
      }
      found = constant_truth(in ? kTrue : kFalse);
    } else if (of.form == Form::text) {
      PENSTOCK_ASSIGN_OR_RETURN(found, text_in(of, values));
    } else {
      found = in_list(of.type, of.nullable, number_of(of), values,
                      of.form == Form::number ? of.column : kNoColumn);
    }
    return negates(op) ? inverted(std::move(found)) : found;
  }

  static std::int64_t as_whole(const QueryValue& value) {
    if (const auto* truth = std::get_if<bool>(&value.value)) return *truth ? 1 : 0;
    return std::get<std::int64_t>(value.value);
  }

  // Room for a question's answers about every category.
  Result<TruthPtr> ask(const Operand& of, TextQuestion question) {
    const NamedColumn& info = columns_[of.column];
    ByteCount bytes = 0;
    for (const auto& file : info.files) bytes += file.categories ? file.categories->names.size() : 0;
    PENSTOCK_ASSIGN_OR_RETURN(Reservation held, reserve_for("query", budget_, MemoryTag::obs, bytes));
    return asked(of.column, info, std::move(question), std::move(held));
  }

  Result<TruthPtr> text_in(const Operand& of, const List& values) {
    auto set = std::make_shared<const ConstantSet>(values);
    TextQuestion question;
    question.missing = set->has_none() ? kTrue : kFalse;
    const unsigned missing = question.missing;
    // The strings are kept once more for the bounds. Whether any of them may be in a row group is asked of
    // each.
    if (values.size() <= 1000) {  // more are looked at one by one for every row group
      std::vector<std::string> texts;
      for (const QueryValue& value : values) {
        if (is_text(value)) texts.push_back(std::get<std::string>(value.value));
      }
      question.possible = [texts = std::move(texts), missing](const ColumnBounds* bounds) {
        // `in` is never missing: a missing value is in the list, or it is not.
        if (bounds == nullptr) return kFalse | kTrue;
        unsigned out = bounds->missing == 0U ? kFalse : kFalse | missing;
        for (const std::string& text : texts) out |= possible_of_text(bounds, missing, Comparison::eq, text);
        return out;
      };
    }
    question.holds = [set](const std::string& text, Column::Kind kind, std::int64_t) {
      return set->has_category(text, kind);
    };
    return ask(of, std::move(question));
  }

  // Why a categorical cannot be ordered; empty: it can.
  // Codes are compared, so that a code has to mean the same in every file.
  static std::string unordered(const NamedColumn& info) {
    if (!info.same_list && info.files.size() > 1) {
      return "categories have an order only when all files have the same list";
    }
    return info.ordered ? std::string() : "its categories have no order";
  }

  // Strings are asked one by one, with statistics to pass row groups over. Categories are asked once each; of
  // an ordered list the place of the constant decides, and a category's answer is on which side of that place
  // it stands.
  Result<TruthPtr> text_constant(Comparison op, const Operand& left, const Operand& right, std::size_t at) {
    const NamedColumn& info = columns_[left.column];
    if (!orders(op)) {  // with a number or a boolean
      return contained(op, left, {right.value});
    }
    TextQuestion question;
    question.missing = left.nullable ? kMissing : kFalse;
    const auto holds = [op](auto order) {
      return op == Comparison::lt   ? order < 0
             : op == Comparison::le ? order <= 0
             : op == Comparison::gt ? order > 0
                                    : order >= 0;
    };
    // Strings have the order of their bytes, which in UTF-8 is that of code points.
    if (!info.categorical) {
      if (!is_text(right.value)) return mismatch(op, left, right, at);
      const std::string constant = std::get<std::string>(right.value.value);
      const unsigned missing = question.missing;
      question.possible = [=](const ColumnBounds* bounds) {
        return possible_of_text(bounds, missing, op, constant);
      };
      question.holds = [=](const std::string& text, Column::Kind, std::int64_t) {
        return holds(text.compare(constant));
      };
      return ask(left, std::move(question));
    }
    if (const std::string why = unordered(info); !why.empty()) return mismatch(op, left, right, at, why);
    // All files have this list, so that a code's place in it is its rank.
    const Categories& list = *info.files.front().categories;
    const ConstantSet one({right.value});
    std::int64_t place = -1;
    for (std::size_t i = 0; i < list.names.size() && place < 0; ++i) {
      if (one.has_category(list.names[i], list.kind)) place = static_cast<std::int64_t>(i);
    }
    // pandas refuses it, too: a value outside the list is neither less nor greater.
    if (place < 0) return mismatch(op, left, right, at, "that is none of its categories");
    question.holds = [=](const std::string&, Column::Kind, std::int64_t code) { return holds(code - place); };
    return ask(left, std::move(question));
  }

  Result<TruthPtr> text_pair(Comparison op, const Operand& left, const Operand& right, std::size_t at) {
    if (right.form != Form::text) return mismatch(op, left, right, at);
    const NamedColumn &a = columns_[left.column], &b = columns_[right.column];
    const bool nullable = left.nullable || right.nullable;
    if (!a.categorical && !b.categorical)
      return text_compared(op, left.column, right.column, false, nullable);
    if (orders(op)) {
      if (!a.ordered || !b.ordered) return mismatch(op, left, right, at, "categories without an order");
      const Categories &x = *a.files.front().categories, &y = *b.files.front().categories;
      if (x.kind != y.kind || x.names != y.names) {
        return mismatch(op, left, right, at, "their categories differ");
      }
      return text_compared(op, left.column, right.column, true, nullable);
    }
    // Categories of numbers are kept as text, which would compare as text: "10" and "10.0" are spelled
    // differently.
    for (const NamedColumn* column : {&a, &b}) {
      for (const auto& file : column->files) {
        if (file.categories && !file.categories->names.empty() &&
            file.categories->kind != Column::Kind::string) {
          return mismatch(op, left, right, at, "categories that are no strings");
        }
      }
    }
    return text_compared(op, left.column, right.column, false, nullable);
  }

  // .str.startswith() and its like. The texts are fixed when the query is bound, since pandas allows nothing
  // else; na= says what a missing value gives.
  Result<Operand> text_test(const Node& node) {
    PENSTOCK_ASSIGN_OR_RETURN(const Operand of, bind(*node.args[0]));
    PENSTOCK_ASSIGN_OR_RETURN(const Operand what, bind(*node.args[1]));
    if (of.form != Form::text) {
      return source_.error(node.at, fmt::format(".str is for strings, and this is {}", of.what));
    }
    const NamedColumn& info = columns_[of.column];
    for (const auto& file : info.files) {
      if (file.categories && !file.categories->names.empty() &&
          file.categories->kind != Column::Kind::string) {
        return source_.error(node.at,
                             fmt::format(".str is for strings, and the categories of {} are none", of.what));
      }
    }
    const List one = {what.value};
    // startswith() and endswith() take several texts, of which one must fit.
    const List& values =
        what.form == Form::list && node.test != TextTest::contains ? std::get<List>(what.value.value) : one;
    std::vector<std::string> texts;
    for (const QueryValue& value : values) {
      if (what.column != kNoColumn || !is_text(value)) {
        return source_.error(what.at, fmt::format("expected a string, found {}", what.what));
      }
      texts.push_back(std::get<std::string>(value.value));
      constexpr std::string_view kMetacharacters = "\\.^$*+?{}[]|()";
      if (node.regex && texts.back().find_first_of(kMetacharacters) != std::string::npos) {
        return source_.error(what.at,
                             "regular expressions are not read: .str.contains('...', regex=False) "
                             "looks for the text as it stands");
      }
    }
    TextQuestion question;
    const auto* na = std::get_if<bool>(&node.missing.value);
    // Without na= a missing text gives a missing answer.
    question.missing = na == nullptr ? kMissing : *na ? kTrue : kFalse;
    const TextTest test = node.test;
    question.holds = [texts = std::move(texts), test](const std::string& text, Column::Kind, std::int64_t) {
      return std::any_of(texts.begin(), texts.end(), [&](const std::string& part) {
        return test == TextTest::startswith ? text.starts_with(part)
               : test == TextTest::endswith ? text.ends_with(part)
                                            : text.find(part) != std::string::npos;
      });
    };
    PENSTOCK_ASSIGN_OR_RETURN(TruthPtr step, ask(of, std::move(question)));
    return truth(node.at, std::move(step), na == nullptr);
  }

  Result<Operand> is_null(const Node& node) {
    PENSTOCK_ASSIGN_OR_RETURN(const Operand of, bind(*node.args[0]));
    TruthPtr step;
    switch (of.form) {
      case Form::number:
        step = number_is_null(of.nullable, of.number);
        break;
      case Form::truth:
        step = truth_is_null(of.truth);
        break;
      case Form::text: {
        TextQuestion question;
        question.missing = kTrue;
        question.holds = [](const std::string&, Column::Kind, std::int64_t) { return false; };
        // Whether anything is missing is counted in the statistics; nothing needs to be read where the count
        // is 0 or all.
        question.possible = [](const ColumnBounds* bounds) { return possible_of_null(bounds, false); };
        PENSTOCK_ASSIGN_OR_RETURN(step, ask(of, std::move(question)));
        break;
      }
      default:
        return source_.error(of.at, fmt::format("whether {} is missing is no question", of.what));
    }
    return truth(node.at, node.negated ? inverted(std::move(step)) : std::move(step), false);
  }

  const QueryParams& params_;
  const std::span<const FileTable> files_;
  MemoryBudget& budget_;
  const SourceText& source_;
  std::vector<NamedColumn> columns_;
  std::vector<Reservation> lists_;
};

}  // namespace

Result<Bound> bind_tree(const Node& tree, const QueryParams& params, std::span<const FileTable> files,
                        MemoryBudget& budget, const SourceText& source) {
  return Binder(params, files, budget, source).run(tree);
}

}  // namespace penstock::query
