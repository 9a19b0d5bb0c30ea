// Steps on strings and categories. A categorical column holds codes, small numbers that stand for places in a
// list of categories; the list has a few hundred entries as a rule and the column millions of rows. So a
// question like drug.str.startswith("Dab") is asked of each category once, when the query is bound, and rows
// look up the answer for their code:
//
//     categories   Dabrafenib   DMSO_TF   Dabigatran
//     answers      1            0         1
//     codes        0 1 1 2 -1 0 ...      (-1: missing)
//     rows         1 0 0 1 ?  1 ...      (?: what the question says of missing values)
//
// Columns of plain strings have no such list, and each row is asked.
#include <utility>

#include "query/steps.h"

namespace penstock::query {

namespace {

// A string or category of a row; null: missing.
const std::string* text_at(const Slab& slab, std::size_t i) {
  const Column& column = *slab.column;
  const std::size_t row = slab.offset + i;
  if (slab.categories != nullptr) {
    const std::int32_t code = column.codes[row];
    return code < 0 ? nullptr : &slab.categories->names[static_cast<std::size_t>(code)];
  }
  if (!column.missing.empty() && column.missing[row] != 0) return nullptr;
  return &column.strings[row];
}

class Asked final : public TruthStep {
 public:
  Asked(std::size_t column, const NamedColumn& info, TextQuestion question, Reservation held)
      : column_(column), question_(std::move(question)), held_(std::move(held)) {
    for (const auto& file : info.files) {
      std::vector<std::uint8_t> answers;
      if (file.categories) {
        answers.reserve(file.categories->names.size());
        for (const std::string& name : file.categories->names) {
          const auto code = static_cast<std::int64_t>(answers.size());
          // Each file has its own list, and with it its own answers; lists that are the same are asked again,
          // which is cheap.
          answers.push_back(question_.holds(name, file.categories->kind, code) ? 1 : 0);
        }
      }
      answers_.push_back(std::move(answers));
    }
  }
  Result<Truths> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(const Slab slab, block.slabs->at(column_, block.first));
    Truths out;
    out.truth.resize(block.n);
    // Only questions that leave missing values missing need a mask; for the others a missing value is true or
    // false.
    if (question_.missing == kMissing) out.missing.resize(block.n);
    const std::vector<std::uint8_t>& answers = answers_[block.file];
    for (std::size_t i = 0; i < block.n; ++i) {
      bool there = true;
      if (slab.categories != nullptr) {
        const std::int32_t code = slab.column->codes[slab.offset + i];
        there = code >= 0;
        if (there) out.truth[i] = answers[static_cast<std::size_t>(code)];
      } else {
        const std::string* text = text_at(slab, i);
        there = text != nullptr;
        if (there) out.truth[i] = question_.holds(*text, Column::Kind::string, -1) ? 1 : 0;
      }
      if (there) continue;
      if (question_.missing == kMissing) {
        out.missing[i] = 1;
      } else {
        out.truth[i] = question_.missing == kTrue ? 1 : 0;
      }
    }
    return out;
  }
  unsigned possible(const BoundsOf& bounds) const override {
    return question_.possible ? question_.possible(bounds[column_]) : kAnything;
  }

 private:
  const std::size_t column_;
  const TextQuestion question_;
  std::vector<std::vector<std::uint8_t>> answers_;  // by file and code
  const Reservation held_;
};

class TextCompared final : public TruthStep {
 public:
  TextCompared(Comparison op, std::size_t left, std::size_t right, bool codes, bool nullable)
      : op_(op), left_(left), right_(right), codes_(codes), nullable_(nullable) {}
  Result<Truths> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(const Slab left, block.slabs->at(left_, block.first));
    PENSTOCK_ASSIGN_OR_RETURN(const Slab right, block.slabs->at(right_, block.first));
    Truths out;
    out.truth.resize(block.n);
    if (nullable_) out.missing.resize(block.n);
    for (std::size_t i = 0; i < block.n; ++i) {
      const std::string *a = text_at(left, i), *b = text_at(right, i);
      if (a != nullptr && b != nullptr) {
        // Ordered categoricals compare by their place in the list that both share (bind.cc has seen to that);
        // everything else by what is spelled.
        const int order = codes_ ? left.column->codes[left.offset + i] - right.column->codes[right.offset + i]
                                 : a->compare(*b);
        out.truth[i] = holds(order) ? 1 : 0;
      } else if (nullable_) {
        out.missing[i] = 1;
      } else {
        // A missing category is unequal to everything, another missing one included.
        out.truth[i] = op_ == Comparison::ne ? 1 : 0;
      }
    }
    return out;
  }

 private:
  bool holds(int order) const {
    switch (op_) {
      case Comparison::lt:
        return order < 0;
      case Comparison::le:
        return order <= 0;
      case Comparison::gt:
        return order > 0;
      case Comparison::ge:
        return order >= 0;
      case Comparison::ne:
        return order != 0;
      default:
        return order == 0;
    }
  }

  const Comparison op_;
  const std::size_t left_, right_;
  const bool codes_, nullable_;
};

}  // namespace

// The answers are bytes beside the lists of categories, reserved by who asks (Binder::ask).
TruthPtr asked(std::size_t column, const NamedColumn& info, TextQuestion question, Reservation held) {
  return std::make_shared<const Asked>(column, info, std::move(question), std::move(held));
}
TruthPtr text_compared(Comparison op, std::size_t left, std::size_t right, bool codes, bool nullable) {
  return std::make_shared<const TextCompared>(op, left, right, codes, nullable);
}

}  // namespace penstock::query
