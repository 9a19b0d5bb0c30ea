// A page or a checkpoint that is half written is worse than none, so the text goes into a file of its
// own, "a.html.1234.part" beside "a.html", and takes its name when it is complete. Beside and not in
// /tmp: rename() is atomic only within one file system. The number is the process's, so that two
// processes do not write into one file.

#include "io/replace_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "io/missing_folder.h"

namespace penstock {

Status replace_file(const std::string& path, std::string_view text) {
  const auto failed = [&path](const char* what, int error) {
    return Status::io_error(fmt::format("{}: cannot {}: {}{}", path, what, std::strerror(error),
                                        error == ENOENT ? missing_folder(path) : std::string()),
                            error);
  };
  // A link stays and what it leads to is replaced; a device or a pipe is written to.
  struct stat found {};
  const bool exists = ::stat(path.c_str(), &found) == 0;
  // "/dev/stdout" and pipes cannot be replaced. O_TRUNC is left out for them.
  const bool in_place = exists && !S_ISREG(found.st_mode);
  std::string target = path;
  if (char* real = exists ? ::realpath(path.c_str(), nullptr) : nullptr) {
    target = real;
    std::free(real);
  }
  const std::string beside = in_place ? path : fmt::format("{}.{}.part", target, getpid());
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | (in_place ? 0 : O_TRUNC) | O_CLOEXEC, 0666);
  if (fd < 0) return failed("be written", errno);
  int error = 0;
  while (!text.empty() && error == 0) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) error = errno;
    if (n == 0) error = EIO;  // no device should; it must not be asked for ever
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
  }
  // Network file systems report a full disk as late as here.
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && !in_place && std::rename(beside.c_str(), target.c_str()) != 0) error = errno;
  if (error == 0) return {};
  if (!in_place) ::unlink(beside.c_str());
  return failed("be written", error);
}

}  // namespace penstock
