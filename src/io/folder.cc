// Every call takes the form of std::filesystem that reports errors in a variable. The other one throws, and a
// folder may vanish, or be closed to this user, between two looks at it.

#include "io/folder.h"

#include <filesystem>
#include <system_error>

namespace penstock {
namespace fs = std::filesystem;

bool is_file(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool is_folder(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  // An error while going on ends the list, which then holds what was found before.
  for (fs::directory_iterator it(folder.empty() ? "." : folder, error), end; !error && it != end;
       it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  return names;
}

std::string inside(const std::string& folder, std::string_view name) {
  return (fs::path(folder) / name).string();
}

std::string folder_of(const std::string& path) { return fs::path(path).parent_path().string(); }

std::string normal_path(const std::string& path) { return fs::path(path).lexically_normal().string(); }

}  // namespace penstock
