// A query bound to the columns of files, as steps that work on blocks of rows, and what row groups'
// statistics say a step can give.
//
// Thread contract: steps are immutable; a Block belongs to one thread. Memory: live() says what a step holds
// at once, a row; who evaluates reserves that first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/types.h"
#include "penstock/status.h"
#include "query/values.h"
#include "source/table.h"

namespace penstock::query {

// Rows of a column in memory.
struct Slab {
  const Column* column = nullptr;
  std::size_t offset = 0;                  // of the block's first row
  const Categories* categories = nullptr;  // of a categorical
};

// Reads columns of one file for the rows of blocks; see reader.h.
class Slabs {
 public:
  virtual ~Slabs() = default;
  virtual Result<Slab> at(std::size_t column, RowIndex row) = 0;
};

struct Block {
  Slabs* slabs = nullptr;
  std::size_t file = 0;
  RowIndex first = 0;
  std::size_t n = 0;
};

// Statistics of a run of rows, by number of the column; null: nothing is known.
using BoundsOf = std::vector<const ColumnBounds*>;

// What can come out for a row, as bits.
enum Outcome : unsigned { kFalse = 1, kTrue = 2, kMissing = 4, kAnything = 7 };

class Step {
 public:
  virtual ~Step() = default;
  // Bytes a row held at once, what is returned included.
  std::size_t live() const { return live_; }
  // Steps run for a block: shared ones as often as they are used.
  std::size_t cost() const { return cost_; }

 protected:
  // Operands are evaluated in this order, and what they give is held until the end.
  void uses(const Step& operand) {
    live_ = std::max(live_, held_ + operand.live() + kBytesPerValue);
    held_ += kBytesPerValue;
    cost_ += operand.cost();
  }
  // One whose result is merged into this step's before the next is evaluated.
  void merges(const Step& operand) {
    live_ = std::max(live_, operand.live() + 2 * kBytesPerValue);
    cost_ += operand.cost();
  }

 private:
  std::size_t live_ = kBytesPerValue, held_ = 0, cost_ = 1;
};

class TruthStep : public Step {
 public:
  virtual Result<Truths> run(const Block& block) const = 0;
  // Conservative: an outcome that is left out does not occur in rows with these bounds.
  virtual unsigned possible(const BoundsOf&) const { return kAnything; }
};

class NumberStep : public Step {
 public:
  virtual Result<Numbers> run(const Block& block) const = 0;
};

using TruthPtr = std::shared_ptr<const TruthStep>;
using NumberPtr = std::shared_ptr<const NumberStep>;

}  // namespace penstock::query
