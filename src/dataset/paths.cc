// From what users write to a list of files (penstock/dataset.h: expand_paths). Each path is one of
//
//     ~/x, ~user/x     the home folder is put in
//     a folder         a format's own (a pqdata folder), or the files of one format in it
//     a glob           *, ?, [...] within a name, ** over any number of folders; sorted
//     anything else    itself, whether it exists or not: opening it says what is wrong
//
// The order of files decides the numbers of rows, and with them the order of an epoch. So globs and folders
// are sorted by name, which file systems do not promise; what the user lists stays in the user's order.
#include <fmt/format.h>
#include <fnmatch.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataset/formats.h"
#include "io/folder.h"
#include "io/missing_folder.h"
#include "penstock/dataset.h"

namespace penstock {

namespace {

namespace fs = std::filesystem;

// Folders that ** goes down into, one inside the other: links may lead back to where they lie.
constexpr int kDeepest = 64;

bool has_magic(std::string_view text) { return text.find_first_of("*?[") != std::string_view::npos; }

// HOME counts before the system's list of users, as in a shell.
std::string home_of(const std::string& user) {
  if (user.empty()) {
    if (const char* home = std::getenv("HOME")) return home;
  }
  const passwd* entry = user.empty() ? ::getpwuid(::getuid()) : ::getpwnam(user.c_str());
  return entry == nullptr ? std::string() : entry->pw_dir;
}

// "~/x" and "~user/x"; as it is when there is no such user.
std::string with_home(const std::string& path) {
  if (!path.starts_with('~')) return path;
  const std::size_t slash = std::min(path.find('/'), path.size());
  const std::string home = home_of(path.substr(1, slash - 1));
  return home.empty() ? path : home + path.substr(slash);
}

// What the rest of a glob finds in `base`. Hidden names are found by patterns that begin with a dot only.
void find(const fs::path& base, std::span<const std::string> parts, int deep,
          std::vector<std::string>& found) {
  if (parts.empty() || deep > kDeepest) return;
  const std::string& part = parts.front();
  const auto rest = parts.subspan(1);
  const auto go_on = [&](const fs::path& path) {
    std::error_code error;
    if (!rest.empty()) {
      find(path, rest, deep + 1, found);
    } else if (fs::exists(path, error)) {
      found.push_back(path.string());
    }
  };
  // `rest` may match right here (** stands for no folder, too), or further down. Folders that are found go on
  // with the same parts, ** included.
  if (part == "**") {
    if (!rest.empty()) find(base, rest, deep + 1, found);
    for (const std::string& name : names_in(base)) {
      if (name.starts_with('.')) continue;
      if (is_folder(base / name)) {
        find(base / name, parts, deep + 1, found);
      } else if (rest.empty()) {
        found.push_back((base / name).string());
      }
    }
  } else if (!has_magic(part)) {
    go_on(base / part);
  } else {
    for (const std::string& name : names_in(base)) {
      // FNM_PERIOD keeps hidden names out of "*"; FNM_NOESCAPE takes a backslash in a name for itself.
      if (::fnmatch(part.c_str(), name.c_str(), FNM_NOESCAPE | FNM_PERIOD) == 0) go_on(base / name);
    }
  }
}

std::vector<std::string> glob(const std::string& pattern) {
  const fs::path path(pattern);
  std::vector<std::string> parts;
  for (const fs::path& part : path.relative_path()) {
    if (!part.empty()) parts.push_back(part.string());
  }
  std::vector<std::string> found;
  find(path.root_path(), parts, 0, found);
  std::sort(found.begin(), found.end());
  // "**" twice in a pattern finds the same file in several ways.
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

// Of a glob: what comes before its first wildcard.
// A message about a glob that finds nothing says which of its folders is missing, and looks for that in this
// part.
fs::path before_magic(const std::string& pattern) {
  fs::path out;
  for (const fs::path& part : fs::path(pattern)) {
    if (has_magic(part.string())) break;
    out /= part;
  }
  return out;
}

Result<std::vector<std::string>> expand_folder(const std::string& folder) {
  if (internal::folder_format(folder) != nullptr) return std::vector<std::string>{folder};
  std::error_code error;
  // names_in() gives nothing for a folder that cannot be read, which would be reported as a folder without
  // files.
  fs::directory_iterator readable(folder, error);
  if (error) {
    return Status::io_error(fmt::format("{}: the directory cannot be read: {}", folder, error.message()),
                            error.value());
  }
  std::map<std::string_view, std::vector<std::string>> found;  // by the ending of their format
  for (const std::string& name : names_in(folder)) {
    for (const Format* format : internal::formats()) {
      const auto& beside = format->companions;
      if (name.ends_with(format->ending) && std::find(beside.begin(), beside.end(), name) == beside.end()) {
        found[format->ending].push_back(inside(folder, name));
      }
    }
  }
  // Both kinds could be meant, as one could be a copy of the other.
  if (found.size() > 1) {
    std::vector<std::string_view> endings;
    for (const auto& [ending, files] : found) endings.push_back(ending);
    return Status::invalid_argument(fmt::format("{} has {} files: say which by a glob such as '{}'", folder,
                                                fmt::join(endings, " and "),
                                                inside(folder, fmt::format("*{}", endings.front()))));
  }
  // What it is instead (a zarr store, a folder of text files) is said when it is opened.
  if (found.empty()) return std::vector<std::string>{folder};
  auto& files = found.begin()->second;
  std::sort(files.begin(), files.end());
  return std::move(files);
}

Result<std::vector<std::string>> expand_one(const std::string& given) {
  std::string path = with_home(given);
  if (path.find("://") != std::string::npos) {
    return Status::unsupported(
        fmt::format("{}: only local files can be opened so far; download or mount it first", path));
  }
  if (is_folder(path)) return expand_folder(path);
  std::error_code error;
  // A file may have [ or * in its name: what exists is taken as it is.
  if (!has_magic(path) || fs::exists(path, error)) return std::vector<std::string>{std::move(path)};
  auto found = glob(path);
  if (found.empty())
    return Status::path_not_found(
        fmt::format("{}: no file matches{}", path, missing_folder(before_magic(path) / "*")));
  return found;
}

}  // namespace

Result<std::vector<std::string>> expand_paths(std::span<const std::string> paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    PENSTOCK_ASSIGN_OR_RETURN(auto found, expand_one(path));
    files.insert(files.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  }
  return files;
}

}  // namespace penstock
