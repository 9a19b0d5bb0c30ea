// Parquet, files and pqdata folders, as a format of files (source/format.h).
#pragma once

#include "source/format.h"

namespace penstock::parquet {

const Format& parquet_format();

}  // namespace penstock::parquet
