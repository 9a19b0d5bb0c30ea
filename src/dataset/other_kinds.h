// What a file or folder is that no format reads, told by its first bytes or by what it holds, with the way to
// a file that is read.
//
// Thread contract: pure functions.
#pragma once

#include <string>

#include "io/file.h"
#include "penstock/status.h"

namespace penstock::internal {

// Never ok: `unsupported` says what it is; `corrupt`: no data of any kind, an empty file or a failed
// download.
Status other_file(const std::string& path, const File& file);
// `unsupported`, or path_not_found when there is nothing in it that is known.
Status other_folder(const std::string& path);

}  // namespace penstock::internal
