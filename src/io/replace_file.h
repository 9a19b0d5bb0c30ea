// Writes a file whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "penstock/status.h"

namespace penstock {

// Writes `text` beside `path` and renames it: who reads `path` sees the old text or the new one, never a
// part. io_error when it cannot be written; the file that is there stays as it was.
Status replace_file(const std::string& path, std::string_view text);

}  // namespace penstock
