// Appends the selected rows of one file's column to a column over all files, converting on the way.
//
// Thread contract: pure functions. Metadata path: allocates the rows it returns and a slab of about 64 Ki
// rows.
#pragma once

#include <cstdint>
#include <vector>

#include "dataset/dataset_impl.h"
#include "penstock/dataset.h"
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

// `out` has its kind, which is that of the source or one that holds it.
Status append_selected(const ColumnSource& source, const FilePart& part, Column& out);

}  // namespace penstock::internal
