// The only way bytes of files come in: positional reads of whole spans. Derive from File, and hand Files out
// by OpenOptions::opener, to read from somewhere else than this machine's file system:
//
//   options.opener = [&](const std::string& path) -> penstock::Result<std::shared_ptr<const penstock::File>>
//   {
//     return std::make_shared<const MyFile>(bucket, path);
//   };
//
// Thread contract: every method is safe from many threads at once; a File is immutable after open.
// Layer: base.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "penstock/status.h"

namespace penstock {

class File {
 public:
  virtual ~File() = default;

  // Fills all of `out` from `offset`, or fails: `corrupt` when the range runs past the size seen at open,
  // `io_error` when the system fails or the file has shrunk or changed since. Short reads and EINTR are
  // retried. The message names the file, the offset and the length.
  virtual Status read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;

  // Ok while the file is what it was when it was opened, as far as its size and its time of modification say;
  // else `io_error`. read_at() of a regular file looks, too, so this is for what was read before and is kept.
  virtual Status unchanged() const { return {}; }

  // Size in bytes when it was opened.
  virtual std::uint64_t size() const = 0;
  // The path, as messages show it.
  virtual const std::string& label() const = 0;
};

// How paths become Files: OpenOptions::opener, for other file systems, and for tests that inject faults.
using FileOpener = std::function<Result<std::shared_ptr<const File>>(const std::string& path)>;

}  // namespace penstock
