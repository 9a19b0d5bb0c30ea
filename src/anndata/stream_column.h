// Columns of obs as the loader wants them (source/obs_column.h): codes and numbers that stream with the rows.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "anndata/frame.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/obs_column.h"

namespace penstock::anndata {

// A view that reads rows by ranges. n_categories bounds the codes of a categorical. Not for strings.
std::shared_ptr<const ObsColumn> stream_column(FrameColumn column, std::uint64_t n_categories);

}  // namespace penstock::anndata
