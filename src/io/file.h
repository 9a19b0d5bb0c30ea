// The only I/O seam: positional reads of whole spans.
//
// Thread contract: every method is safe from many threads at once; a File is immutable after open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/types.h"
#include "penstock/status.h"

namespace penstock {

class File {
 public:
  virtual ~File() = default;

  // Fills all of `out` from `offset`, or fails: `corrupt` when the range runs past the size seen at open,
  // `io_error` when the system fails or the file has shrunk or changed since. Short reads and EINTR are
  // retried. The message names the file, the offset and the length.
  virtual Status read_at(ByteOffset offset, std::span<std::byte> out) const = 0;

  // Size in bytes when it was opened.
  virtual ByteCount size() const = 0;
  // The path, as messages show it.
  virtual const std::string& label() const = 0;
};

// How paths become Files; tests pass one that injects faults.
using FileOpener = std::function<Result<std::shared_ptr<const File>>(const std::string& path)>;

// A regular file read by pread. Descriptors are shared through a process-wide LRU (at most half of the soft
// RLIMIT_NOFILE, 512 at most); a file reopened after eviction must still have the device, inode, size and
// mtime of the first open, else `io_error`. A directory or a special file is invalid_argument.
Result<std::shared_ptr<const File>> open_posix_file(const std::string& path);

}  // namespace penstock
