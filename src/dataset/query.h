// The rows of a selection for which a query holds (src/query/).
//
// Thread contract: pure function of immutable files. Memory: see query::Program; the selection is reserved
// under `index`.
#pragma once

#include <string_view>

#include "dataset/opened_files.h"
#include "dataset/selection.h"
#include "penstock/query.h"
#include "penstock/status.h"

namespace penstock::internal {

// Blocks of obs without a row of `parts` are not read.
Result<Parts> select_query(const OpenedFiles& opened, std::span<const FilePart> parts,
                           std::string_view expression, const QueryParams& params);

}  // namespace penstock::internal
