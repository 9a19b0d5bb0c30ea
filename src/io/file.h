// The only I/O seam is File (penstock/file.h); this is the one that reads files of this machine.
#pragma once

#include <memory>
#include <string>

#include "base/types.h"
#include "penstock/file.h"
#include "penstock/status.h"

namespace penstock {

// A regular file read by pread. Descriptors are shared through a process-wide LRU (at most half of the soft
// RLIMIT_NOFILE, 512 at most). After each read, and when it is reopened after eviction, the file must still
// have the device, inode, size and mtime of the first open, else `io_error`: bytes that were written
// meanwhile are never handed out as the file's. A directory or a special file is invalid_argument.
Result<std::shared_ptr<const File>> open_posix_file(const std::string& path);

}  // namespace penstock
