// and, or, not: Kleene's logic of three values, which pandas' nullable booleans follow. A missing value
// stands for "true or false, nobody knows", and the outcome is missing only where it depends on that:
//
//     and       false  missing  true        or        false    missing  true
//     false     false  false    false       false     false    missing  true
//     missing   false  missing  missing     missing   missing  missing  true
//     true      false  missing  true        true      true     true     true
//
// One part of an `and` that is false settles a row, and one part of an `or` that is true. When a block's rows
// are all settled, the parts that follow are not run, and their columns are not read. Users write the part
// that excludes most first; nothing here changes the order.
#include <algorithm>
#include <utility>

#include "query/bounds.h"
#include "query/steps.h"

namespace penstock::query {

namespace {

class ConstantTruth final : public TruthStep {
 public:
  explicit ConstantTruth(unsigned outcome) : outcome_(outcome) {}
  Result<Truths> run(const Block& block) const override {
    Truths out;
    out.truth.assign(block.n, outcome_ == kTrue ? 1 : 0);
    if (outcome_ == kMissing) out.missing.assign(block.n, 1);
    return out;
  }
  unsigned possible(const BoundsOf&) const override { return outcome_; }

 private:
  const unsigned outcome_;
};

class Inverted final : public TruthStep {
 public:
  explicit Inverted(TruthPtr of) : of_(std::move(of)) { uses(*of_); }
  Result<Truths> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(Truths out, of_->run(block));
    for (std::size_t i = 0; i < block.n; ++i) out.truth[i] = out.known(i) ? out.truth[i] ^ 1 : 0;
    return out;
  }
  unsigned possible(const BoundsOf& bounds) const override { return not_possible(of_->possible(bounds)); }

 private:
  const TruthPtr of_;
};

// and, or: `decides` is the value of one part that settles a row, whatever the others are.
class Joined final : public TruthStep {
 public:
  Joined(std::vector<TruthPtr> parts, bool decides) : parts_(std::move(parts)), decides_(decides) {
    for (const TruthPtr& part : parts_) merges(*part);
  }
  Result<Truths> run(const Block& block) const override {
    PENSTOCK_ASSIGN_OR_RETURN(Truths all, parts_.front()->run(block));
    for (std::size_t p = 1; p < parts_.size(); ++p) {
      if (settled(all)) break;  // its columns need not be read for these rows
      PENSTOCK_ASSIGN_OR_RETURN(const Truths more, parts_[p]->run(block));
      merge(more, all);
    }
    return all;
  }
  unsigned possible(const BoundsOf& bounds) const override {
    unsigned out = parts_.front()->possible(bounds);
    for (std::size_t p = 1; p < parts_.size(); ++p) {
      const unsigned more = parts_[p]->possible(bounds);
      out = decides_ ? or_possible(out, more) : and_possible(out, more);
    }
    return out;
  }

 private:
  bool decided(const Truths& t, std::size_t i) const { return t.known(i) && (t.truth[i] != 0) == decides_; }

  // Stops at the first row that is open, which is the first one as a rule: looking costs nothing where it
  // does not pay.
  bool settled(const Truths& all) const {
    for (std::size_t i = 0; i < all.truth.size(); ++i) {
      if (!decided(all, i)) return false;
    }
    return true;
  }

  // No mask on either side is the usual case, and then it is bytes that are joined, which compilers make
  // wide.
  void merge(const Truths& more, Truths& all) const {
    if (all.missing.empty() && more.missing.empty()) {
      for (std::size_t i = 0; i < all.truth.size(); ++i) {
        all.truth[i] = decides_ ? all.truth[i] | more.truth[i] : all.truth[i] & more.truth[i];
      }
      return;
    }
    all.missing.resize(all.truth.size(), 0);
    for (std::size_t i = 0; i < all.truth.size(); ++i) {
      // Settled rows are known, even where the other part is missing.
      const bool settles = decided(all, i) || decided(more, i);
      const bool unknown = !settles && (!all.known(i) || !more.known(i));
      all.missing[i] = unknown ? 1 : 0;
      // For `or` a settled row is true, for `and` false; a row that is known and not settled is the opposite.
      all.truth[i] = unknown ? 0 : (settles == decides_ ? 1 : 0);
    }
  }

  const std::vector<TruthPtr> parts_;
  const bool decides_;
};

}  // namespace

TruthPtr constant_truth(unsigned outcome) { return std::make_shared<const ConstantTruth>(outcome); }
TruthPtr inverted(TruthPtr of) { return std::make_shared<const Inverted>(std::move(of)); }
TruthPtr all_of(std::vector<TruthPtr> parts) {
  return std::make_shared<const Joined>(std::move(parts), false);
}
TruthPtr any_of(std::vector<TruthPtr> parts) {
  return std::make_shared<const Joined>(std::move(parts), true);
}

}  // namespace penstock::query
