// The names of genes that an argument gives: "TP53,MYC", or "@FILE" with one name a line.
//
// Thread contract: main thread only.
#pragma once

#include <string>
#include <vector>

#include "penstock/status.h"

namespace penstock::cli {

// In the order given; spaces around a name, empty lines and a byte order mark do not count. Not more than 64
// MB of file is read, which is far more than any organism has genes. Errors: invalid_argument for no name at
// all or a larger file; not_found, io_error for the file.
Result<std::vector<std::string>> gene_names(const std::string& argument);

}  // namespace penstock::cli
