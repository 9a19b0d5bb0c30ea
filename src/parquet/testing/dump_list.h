// A list column as JSON, through the same pages, levels and windows as the matrix columns: for dump.cc.
#pragma once

#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>

#include "io/file.h"
#include "parquet/metadata.h"

namespace penstock::parquet {

// A list per row, null where an element is missing; a missing list is an empty one. {"error": ...} for types
// that a matrix cannot be made of.
Result<nlohmann::json> dump_list(const File& file, const FileMetadata& metadata, std::size_t number);

}  // namespace penstock::parquet
