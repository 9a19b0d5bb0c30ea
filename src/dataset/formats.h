// The formats that are read: told by the first bytes of a file, or by what a folder holds; never by the name
// alone. To add one, give it a Format (source/format.h) and name it in formats.cc.
//
// Thread contract: pure functions.
#pragma once

#include <span>
#include <string>

#include "source/format.h"

namespace penstock::internal {

// In the order in which they are asked whether something is theirs.
std::span<const Format* const> formats();
// The format that takes this folder as one thing to open; nullptr: none does.
const Format* folder_format(const std::string& folder);
// Of a file or a folder. Errors: `unsupported` says what else it is and what to do (other_kinds.h);
// path_not_found, io_error.
Result<const Format*> format_of(const std::string& path, const FileOpener& opener);

}  // namespace penstock::internal
