// A table read as its users read it: the index, then column after column, in the steps that each column reads
// at once. A column that is valid and not read is noted; one that opens and then fails is damage, whatever
// the reason.
#include "source/verify_table.h"

#include <algorithm>

#include "base/checked.h"

namespace penstock {

namespace {

Status verify_column(const Result<std::shared_ptr<const TableColumn>>& opened, VerifyLog& log,
                     MemoryBudget& budget) {
  if (!opened.ok()) return log.take(opened.status());
  const TableColumn& column = **opened;
  const std::uint64_t n = column.size(), step = std::max<std::uint64_t>(column.rows_at_once(), 1);
  if (log.counting()) {
    log.expect(ceil_div(n, step));
    return {};
  }
  std::uint64_t n_categories = 0;
  if (column.encoding() == TableColumn::Encoding::categorical) {
    const auto categories = column.categories(budget);
    // Without its list no code can be told from a wrong one.
    if (!categories.ok()) return log.take_read(categories.status());
    n_categories = (*categories)->names.size();
  }
  for (std::uint64_t first = 0; first < n; first += step) {
    PENSTOCK_RETURN_IF_ERROR(
        log.take_read(column.read(first, std::min(step, n - first), n_categories).status()));
    log.step();
  }
  return {};
}

}  // namespace

Status verify_table(const Table& table, VerifyLog& log, MemoryBudget& budget) {
  PENSTOCK_RETURN_IF_ERROR(verify_column(table.index(), log, budget));
  for (const std::string& name : table.columns()) {
    const auto column = table.column(name);
    PENSTOCK_RETURN_IF_ERROR(verify_column(column, log, budget));
    // Statistics, where the format keeps them, decide what a query reads.
    if (column.ok() && !log.counting()) PENSTOCK_RETURN_IF_ERROR(log.take(table.bounds(name).status()));
  }
  return {};
}

}  // namespace penstock
