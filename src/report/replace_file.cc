#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "penstock/report.h"

namespace penstock {

Status replace_file(const std::string& path, std::string_view text) {
  const auto failed = [&path](const char* what, int error) {
    return Status::io_error(fmt::format("{}: cannot {}: {}", path, what, std::strerror(error)), error);
  };
  const std::string beside = fmt::format("{}.{}.part", path, getpid());
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return failed("be written", errno);
  int error = 0;
  while (!text.empty() && error == 0) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) error = errno;
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && std::rename(beside.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return {};
  ::unlink(beside.c_str());
  return failed("be written", error);
}

}  // namespace penstock
