// The one loop around pread(2): goes on after short reads and EINTR. PosixFile runs it over the system's
// pread, the fault-injecting File of the tests over one that misbehaves.
#pragma once

#include <fmt/format.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>

#include "base/types.h"
#include "penstock/status.h"

namespace penstock {

// Linux transfers at most 0x7ffff000 bytes per call.
inline constexpr std::size_t kMostPerRead = std::size_t{1} << 30;

// Fills `out` from `offset` of a file of `size` bytes. pread(data, bytes, offset) returns what pread(2) does,
// with errno. 0 before the end means that the file has shrunk.
template <class Pread>
Status read_fully(const std::string& label, ByteCount size, ByteOffset offset, std::span<std::byte> out,
                  Pread&& pread) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = pread(out.data() + done, std::min(out.size() - done, kMostPerRead), offset + done);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
      continue;
    }
    const int error = n < 0 ? errno : 0;
    if (error == EINTR) continue;
    const std::string why =
        n < 0 ? std::strerror(error)
              : fmt::format("the file has shrunk to less than 0x{:x} bytes since it was opened with {}",
                            offset + done + 1, size);
    return Status::io_error(fmt::format("reading {} bytes at 0x{:x}: {}", out.size(), offset, why), error)
        .with_file(label);
  }
  return {};
}

}  // namespace penstock
