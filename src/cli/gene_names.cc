// Lists of genes come out of spreadsheets, editors and other programs, so their habits are put
// up with: carriage returns, blanks, empty lines at the end, a byte order mark in front. Inside
// a name nothing is changed.

#include "gene_names.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

namespace penstock::cli {

namespace {

constexpr std::size_t kMostBytes = 64'000'000;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// A comma can be part of a gene's name, though hardly ever is. Such a name has to come from a file.
std::vector<std::string> parts(std::string_view text, char separator) {
  std::vector<std::string> found;
  while (!text.empty()) {
    const auto end = text.find(separator);
    if (const auto name = trimmed(text.substr(0, end)); !name.empty()) found.emplace_back(name);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return found;
}

Result<std::string> read(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    const int error = errno;
    // A misspelt folder looks like a misspelt file until somebody says so.
    if (error == ENOENT) {
      const auto folder = std::filesystem::path(path).parent_path();
      std::error_code ignored;
      const bool no_folder = !folder.empty() && !std::filesystem::exists(folder, ignored);
      return Status::path_not_found(
          fmt::format("{}: no such file{}", path,
                      no_folder ? fmt::format(": there is no folder '{}'", folder.string()) : ""));
    }
    return Status::io_error(fmt::format("{}: {}", path, std::generic_category().message(error)), error);
  }
  std::string text;
  // In parts and not by the file's size: /dev/stdin and pipes have none, and a device like /dev/zero never
  // ends.
  for (std::vector<char> part(1 << 16); in;) {
    in.read(part.data(), static_cast<std::streamsize>(part.size()));
    text.append(part.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > kMostBytes) {
      return Status::invalid_argument(
          fmt::format("{} is no list of genes: it has more than {} MB", path, kMostBytes / 1'000'000));
    }
  }
  if (in.bad()) {
    const int error = errno;
    return Status::io_error(fmt::format("{}: {}", path, std::generic_category().message(error)), error);
  }
  return text;
}

}  // namespace

Result<std::vector<std::string>> gene_names(const std::string& argument) {
  std::vector<std::string> names;
  if (argument.starts_with('@')) {
    PENSTOCK_ASSIGN_OR_RETURN(const std::string text, read(argument.substr(1)));
    constexpr std::string_view kMark = "\xef\xbb\xbf";  // how some editors begin a file of text
    names = parts(text.starts_with(kMark) ? std::string_view(text).substr(kMark.size()) : text, '\n');
  } else {
    names = parts(argument, ',');
  }
  if (names.empty()) return Status::invalid_argument(fmt::format("{} names no gene", argument));
  return names;
}

}  // namespace penstock::cli
