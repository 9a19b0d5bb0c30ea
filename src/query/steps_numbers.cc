// Steps that give numbers, or make truths of numbers. Each is one node of the bound tree, and runs over a
// block: it asks its operands for their values of these rows, and answers with its own. There is no code for
// single rows; the loops are inside the steps, over plain arrays.
//
//     n / total > 0.1
//     Compared >                            truth:  0 1 0 ...
//       Calculated /  in float64            floats: 0.05 0.3 0.02 ...
//         NumberColumn n                    ints:   5 30 2 ...
//         NumberColumn total                ints:   100 100 100 ...
//       ConstantNumber 0.1                  floats: 0.1 0.1 0.1 ...
//
// A constant fills an array like a column. That costs a little, and spares each operator three more loops.
//
// The constructor of a step says what it holds at once: uses() for each operand, in the order in which run()
// evaluates them. Program::run() reserves the sum.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "query/bounds.h"
#include "query/steps.h"
#include "source/numbers.h"

namespace penstock::query {

namespace {

template <class T>
std::vector<T> part(const std::vector<T>& from, const Slab& slab, std::size_t n) {
  const auto first = from.begin() + static_cast<std::ptrdiff_t>(slab.offset);
  return std::vector<T>(first, first + static_cast<std::ptrdiff_t>(n));
}

class NumberColumn final : public NumberStep {
 public:
  NumberColumn(std::size_t column, const NamedColumn& info)
      : column_(column), type_(info.type), name_(info.name) {
    for (const auto& file : info.files) types_.push_back(file.type);
  }
  Result<Numbers> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(const Slab slab, block.slabs->at(column_, block.first));
    Numbers out;
    if (slab.column->kind == Column::Kind::floating) {
      out.floats = part(slab.column->floats, slab, block.n);
    } else if (slab.column->kind == Column::Kind::boolean) {
      const auto bytes = part(slab.column->booleans, slab, block.n);
      out.ints.assign(bytes.begin(), bytes.end());
    } else {
      out.ints = part(slab.column->integers, slab, block.n);
    }
    if (!slab.column->missing.empty()) out.missing = part(slab.column->missing, slab, block.n);
    // Before the conversion: afterwards the integer is gone.
    PENSTOCK_RETURN_IF_ERROR(check_exact(types_[block.file], out));
    convert(types_[block.file], type_, out);
    return out;
  }

 private:
  // Integers of one file among the floats of others stay what they are, as in ds.obs.
  Status check_exact(NumberType from, const Numbers& values) const {
    if (!type_.floating() || from.floating()) return {};
    for (std::size_t i = 0; i < values.ints.size(); ++i) {
      if (exact_in_double(values.ints[i], from.is_unsigned())) continue;
      // What stands in place of a missing value may be anything.
      if (!values.missing.empty() && values.missing[i] != 0) continue;
      return Status::invalid_argument(fmt::format(
          "query: {} in obs column '{}' is no float64 exactly, which the column is over all files: some have "
          "fractions or negative numbers in it; open the files one by one",
          integer_text(values.ints[i], from.is_unsigned()), name_));
    }
    return {};
  }

  const std::size_t column_;
  const NumberType type_;
  const std::string name_;
  std::vector<NumberType> types_;  // by file
};

class BooleanColumn final : public TruthStep {
 public:
  explicit BooleanColumn(std::size_t column) : column_(column) {}
  Result<Truths> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(const Slab slab, block.slabs->at(column_, block.first));
    Truths out;
    out.truth = part(slab.column->booleans, slab, block.n);
    if (!slab.column->missing.empty()) out.missing = part(slab.column->missing, slab, block.n);
    // Truths have 0 where something is missing, whatever the file has there.
    for (std::size_t i = 0; i < block.n; ++i) out.truth[i] = out.truth[i] != 0 && out.known(i) ? 1 : 0;
    return out;
  }
  unsigned possible(const BoundsOf& bounds) const override { return possible_of_boolean(bounds[column_]); }

 private:
  const std::size_t column_;
};

class ConstantNumber final : public NumberStep {
 public:
  ConstantNumber(const QueryValue& value, NumberType type) : type_(type) {
    if (type.floating()) {
      float_ = std::get<double>(rounded_to(type, value).value);
    } else if (const auto* truth = std::get_if<bool>(&value.value)) {
      integer_ = *truth ? 1 : 0;
    } else if (const auto* large = std::get_if<std::uint64_t>(&value.value)) {
      // The bits: `type` says that they are a uint64's.
      integer_ = static_cast<std::int64_t>(*large);
    } else {
      integer_ = std::get<std::int64_t>(value.value);
    }
  }
  Result<Numbers> run(const Block& block) const override {
    Numbers out;
    if (type_.floating()) {
      out.floats.assign(block.n, float_);
    } else {
      out.ints.assign(block.n, integer_);
    }
    return out;
  }

 private:
  const NumberType type_;
  std::int64_t integer_ = 0;
  double float_ = 0;
};

class NumberOfTruth final : public NumberStep {
 public:
  explicit NumberOfTruth(TruthPtr truth) : truth_(std::move(truth)) { uses(*truth_); }
  Result<Numbers> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(Truths truths, truth_->run(block));
    Numbers out;
    out.ints.assign(truths.truth.begin(), truths.truth.end());
    out.missing = std::move(truths.missing);
    return out;
  }

 private:
  const TruthPtr truth_;
};

class Calculated final : public NumberStep {
 public:
  Calculated(Arithmetic op, NumberType in, NumberType result, NumberType a, NumberPtr left, NumberType b,
             NumberPtr right, const SourceText& source, std::size_t at)
      : op_(op), in_(in), result_(result), a_(a), b_(b), left_(std::move(left)), right_(std::move(right)) {
    uses(*left_);
    uses(*right_);
    if (becomes_float()) uses(*right_);  // the dividend is kept, too
    // Made in advance, because the text of the query need not live as long as the step.
    negative_power_ =
        source.error(at, "integers to negative powers are not allowed, as in numpy: use floats");
  }
  Result<Numbers> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(Numbers left, left_->run(block));
    PENSTOCK_ASSIGN_OR_RETURN(Numbers right, right_->run(block));
    convert(a_, in_, left);
    convert(b_, in_, right);
    // In whole numbers, which float64 does not hold all of. Integers are divided as integers, since float64
    // would round large ones before it divides them, and only rows whose divisor is 0 get inf or NaN
    // afterwards. For that their dividend must still be known: calculate() writes over it.
    const std::vector<std::int64_t> dividend = becomes_float() ? left.ints : std::vector<std::int64_t>();
    if (!calculate(op_, in_, left, right)) return negative_power_;
    if (becomes_float()) {
      convert(in_, result_, left);
      for (std::size_t i = 0; i < dividend.size(); ++i) {
        if (right.ints[i] == 0) left.floats[i] = by_zero(dividend[i]);
      }
    }
    return left;
  }

 private:
  bool becomes_float() const { return !in_.floating() && result_.floating(); }
  double by_zero(std::int64_t dividend) const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    // As numpy: 5 // 0 is inf, -5 // 0 is -inf, 0 // 0 and anything % 0 are NaN.
    if (op_ == Arithmetic::modulo || dividend == 0) return std::numeric_limits<double>::quiet_NaN();
    return dividend < 0 && !in_.is_unsigned() ? -kInfinity : kInfinity;
  }

  const Arithmetic op_;
  const NumberType in_, result_, a_, b_;
  const NumberPtr left_, right_;
  Status negative_power_;
};

class Negated final : public NumberStep {
 public:
  Negated(NumberType type, NumberPtr of) : type_(type), of_(std::move(of)) { uses(*of_); }
  Result<Numbers> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(Numbers out, of_->run(block));
    negate(type_, out);
    return out;
  }

 private:
  const NumberType type_;
  const NumberPtr of_;
};

class MissingWhereNan final : public NumberStep {
 public:
  explicit MissingWhereNan(NumberPtr of) : of_(std::move(of)) { uses(*of_); }
  Result<Numbers> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(Numbers out, of_->run(block));
    out.missing.resize(block.n, 0);
    for (std::size_t i = 0; i < out.floats.size(); ++i) out.missing[i] |= std::isnan(out.floats[i]) ? 1 : 0;
    return out;
  }

 private:
  const NumberPtr of_;
};

class Compared final : public TruthStep {
 public:
  Compared(Comparison op, NumberType a, NumberPtr left, NumberType b, NumberPtr right,
           const Prunable* prunable)
      : op_(op), a_(a), b_(b), left_(std::move(left)), right_(std::move(right)) {
    uses(*left_);
    uses(*right_);
    if (prunable != nullptr) {
      prunable_ = *prunable;
      prunes_ = true;
    }
  }
  Result<Truths> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(const Numbers left, left_->run(block));
    PENSTOCK_ASSIGN_OR_RETURN(const Numbers right, right_->run(block));
    return compare(op_, a_, left, b_, right);
  }
  unsigned possible(const BoundsOf& bounds) const override {
    if (!prunes_) return kAnything;
    return possible_of_number(bounds[prunable_.column], a_, prunable_.nullable, op_, prunable_.constant);
  }

 private:
  const Comparison op_;
  const NumberType a_, b_;
  const NumberPtr left_, right_;
  bool prunes_ = false;
  Prunable prunable_;
};

class ComparedWithNone final : public TruthStep {
 public:
  ComparedWithNone(bool outcome, NumberPtr of) : outcome_(outcome), of_(std::move(of)) { uses(*of_); }
  Result<Truths> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(Numbers values, of_->run(block));
    Truths out;
    out.truth.assign(block.n, outcome_ ? 1 : 0);
    out.missing = std::move(values.missing);
    for (std::size_t i = 0; i < out.missing.size(); ++i) out.truth[i] &= out.known(i) ? 1 : 0;
    return out;
  }

 private:
  const bool outcome_;
  const NumberPtr of_;
};

class InList final : public TruthStep {
 public:
  // What statistics say of a list is what they say of the range it spans. For [1, 1000] and a row group of
  // 5..9 that is not sharp, but it is one comparison for lists of any length.
  InList(NumberType type, bool nullable, NumberPtr of, std::vector<QueryValue> list, std::size_t column)
      : type_(type), nullable_(nullable), of_(std::move(of)), set_(list), column_(column) {
    uses(*of_);
    // Many constants say together what the least and the largest of them say.
    for (const QueryValue& value : list) {
      if (!is_number(value) || std::isnan(as_double(value))) continue;
      if (!any_ || compare_numbers(value, least_) < 0) least_ = value;
      if (!any_ || compare_numbers(value, most_) > 0) most_ = value;
      any_ = true;
    }
    // Bounds say nothing of NaN: with one in the list no row group can be passed over.
    nan_ = set_.has_float(std::nan(""));
  }
  Result<Truths> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(const Numbers values, of_->run(block));
    Truths out;
    out.truth.resize(block.n);
    for (std::size_t i = 0; i < block.n; ++i) {
      const bool missing = !values.missing.empty() && values.missing[i] != 0;
      const bool in = type_.floating() ? set_.has_float(values.floats[i])
                                       : set_.has_integer(values.ints[i], type_.is_unsigned());
      out.truth[i] = in && !missing ? 1 : 0;
    }
    return out;
  }
  unsigned possible(const BoundsOf& bounds) const override {
    if (column_ == kNoColumn || bounds[column_] == nullptr || nan_) return kFalse | kTrue;
    // No number in the list: no number is in it.
    if (!any_) return kFalse;
    const ColumnBounds* here = bounds[column_];
    const unsigned above = possible_of_number(here, type_, nullable_, Comparison::ge, least_);
    const unsigned below = possible_of_number(here, type_, nullable_, Comparison::le, most_);
    // A value of the list lies in the bounds only if both the least can be reached from above and the largest
    // from below.
    return kFalse | (above & below & kTrue);
  }

 private:
  const NumberType type_;
  const bool nullable_;
  const NumberPtr of_;
  const ConstantSet set_;
  const std::size_t column_;
  bool any_ = false, nan_ = false;
  QueryValue least_, most_;
};

class NumberIsNull final : public TruthStep {
 public:
  NumberIsNull(bool nullable, NumberPtr of) : nullable_(nullable), of_(std::move(of)) { uses(*of_); }
  Result<Truths> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(Numbers values, of_->run(block));
    Truths out;
    // A column with a mask says what is missing; of others NaN does.
    if (nullable_) {
      out.truth = std::move(values.missing);
      out.truth.resize(block.n, 0);
      return out;
    }
    out.truth.resize(block.n);
    for (std::size_t i = 0; i < values.floats.size(); ++i)
      out.truth[i] = std::isnan(values.floats[i]) ? 1 : 0;
    return out;
  }

 private:
  const bool nullable_;
  const NumberPtr of_;
};

class TruthIsNull final : public TruthStep {
 public:
  explicit TruthIsNull(TruthPtr of) : of_(std::move(of)) { uses(*of_); }
  Result<Truths> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(Truths values, of_->run(block));
    Truths out;
    out.truth = std::move(values.missing);
    out.truth.resize(block.n, 0);
    return out;
  }
  unsigned possible(const BoundsOf& bounds) const override {
    const unsigned inner = of_->possible(bounds);
    // What was missing is true now, and what was true or false is false.
    return (inner & kMissing ? kTrue : 0U) | (inner & (kTrue | kFalse) ? kFalse : 0U);
  }

 private:
  const TruthPtr of_;
};

}  // namespace

NumberPtr number_column(std::size_t column, const NamedColumn& info) {
  return std::make_shared<const NumberColumn>(column, info);
}
TruthPtr boolean_column(std::size_t column) { return std::make_shared<const BooleanColumn>(column); }
NumberPtr constant_number(const QueryValue& value, NumberType type) {
  return std::make_shared<const ConstantNumber>(value, type);
}
NumberPtr number_of_truth(TruthPtr truth) { return std::make_shared<const NumberOfTruth>(std::move(truth)); }
NumberPtr calculated(Arithmetic op, NumberType in, NumberType result, NumberType a, NumberPtr left,
                     NumberType b, NumberPtr right, const SourceText& source, std::size_t at) {
  return std::make_shared<const Calculated>(op, in, result, a, std::move(left), b, std::move(right), source,
                                            at);
}
NumberPtr negated(NumberType type, NumberPtr of) {
  return std::make_shared<const Negated>(type, std::move(of));
}
NumberPtr missing_where_nan(NumberPtr of) { return std::make_shared<const MissingWhereNan>(std::move(of)); }
TruthPtr compared(Comparison op, NumberType a, NumberPtr left, NumberType b, NumberPtr right,
                  const Prunable* prunable) {
  return std::make_shared<const Compared>(op, a, std::move(left), b, std::move(right), prunable);
}
TruthPtr compared_with_none(bool outcome, NumberPtr of) {
  return std::make_shared<const ComparedWithNone>(outcome, std::move(of));
}
TruthPtr in_list(NumberType type, bool nullable, NumberPtr of, std::vector<QueryValue> list,
                 std::size_t column) {
  return std::make_shared<const InList>(type, nullable, std::move(of), std::move(list), column);
}
TruthPtr number_is_null(bool nullable, NumberPtr of) {
  return std::make_shared<const NumberIsNull>(nullable, std::move(of));
}
TruthPtr truth_is_null(TruthPtr of) { return std::make_shared<const TruthIsNull>(std::move(of)); }

}  // namespace penstock::query
