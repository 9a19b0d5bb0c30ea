// Why there is no file: often it is a folder on the way that is not there.
//
// Thread contract: pure function of the file system.
#pragma once

#include <string>

namespace penstock {

// ": there is no folder 'plates'", the first on the way to `path` that does not exist, to be put behind "no
// such file"; empty when they all do.
std::string missing_folder(const std::string& path);

}  // namespace penstock
