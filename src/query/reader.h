// Reads the columns of a query from one file as its blocks ask for them: of each column one slab, which is
// what its storage reads at once.
//
// Thread contract: one thread. Memory: slabs are reserved under `obs` before they are read, strings as they
// turn out to be.
#pragma once

#include <vector>

#include "penstock/memory_budget.h"
#include "query/columns.h"
#include "query/step.h"

namespace penstock::query {

class ColumnReader final : public Slabs {
 public:
  ColumnReader(const std::vector<NamedColumn>& columns, std::size_t file, MemoryBudget& budget);

  // Slabs lie within [first, last): what is outside need not be read.
  void limit(RowIndex first, RowIndex last);
  // Where the first of the slabs that hold row `at` ends.
  RowIndex end_of_slabs(RowIndex at) const;
  Result<Slab> at(std::size_t column, RowIndex row) override;

 private:
  struct Held {
    RowRange rows;
    Column values;
    Reservation bytes;
  };
  RowRange slab_of(std::size_t column, RowIndex row) const;

  const std::vector<NamedColumn>& columns_;
  const std::size_t file_;
  MemoryBudget& budget_;
  RowRange limit_;
  std::vector<Held> held_;
};

}  // namespace penstock::query
