// The selected rows of one file's column: one by one, or to the end of a column over all files, converted.
//
// Thread contract: pure functions. Metadata path: allocates the rows it returns and a slab of about 64 Ki
// rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "dataset/dataset_impl.h"
#include "penstock/column.h"
#include "penstock/status.h"
#include "source/obs_column.h"
#include "source/table.h"

namespace penstock::internal {

struct ColumnSource {
  const TableColumn* column = nullptr;
  std::uint64_t n_categories = 0;                    // of the file's own list
  const std::vector<std::int32_t>* codes = nullptr;  // local code + 1 -> code of `out`; null: the same
  const ObsColumn* coded = nullptr;                  // strings that go to a categorical: their local codes
};

// f(slab, i) for every selected row in order: element i of a Column of the source's kind (of kind categorical
// for strings that are coded). Stops at the first error.
Status for_each_selected(const ColumnSource& source, const FilePart& part,
                         const std::function<Status(Column&, std::size_t)>& f);

// `out` has its kind, which is that of the source or one that holds it.
Status append_selected(const ColumnSource& source, const FilePart& part, Column& out);

}  // namespace penstock::internal
