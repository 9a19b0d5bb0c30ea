// A flat column of numbers or booleans that streams with the rows of blocks (source/obs_column.h), a row
// group's column chunk at a time.
#pragma once

#include <memory>

#include "parquet/flat_column.h"
#include "source/obs_column.h"

namespace penstock::parquet {

// The column is no string.
std::shared_ptr<const ObsColumn> stream_column(std::shared_ptr<const FlatColumn> column);

}  // namespace penstock::parquet
