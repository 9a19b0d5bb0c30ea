// Entries of obsm: dense arrays, and the numeric columns of DataFrames.
//
// Thread contract: pure functions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "penstock/column.h"
#include "penstock/status.h"
#include "source/obsm_array.h"
#include "store/store.h"

namespace penstock::anndata {

// not_found lists what there is; `unsupported` says what an entry is that is not read, and the way out;
// `corrupt` when it has not the rows of obs.
Result<std::shared_ptr<const ObsmArray>> open_obsm(const store::Group& root, const std::string& name,
                                                   RowIndex n_rows);
// Every entry, in the order stored; each is opened, none is read.
Result<std::vector<ObsmInfo>> list_obsm(const store::Group& root, RowIndex n_rows);

}  // namespace penstock::anndata
