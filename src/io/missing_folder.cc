#include "io/missing_folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

namespace penstock {

std::string missing_folder(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(path).parent_path();
  fs::path so_far;
  // From the root downwards, since the first folder that is missing is where the typing error is: of
  // "/data/plate/2024/a.h5ad" the user wants to know that there is no "/data/plate".
  for (const fs::path& part : folder) {
    so_far /= part;
    std::error_code error;
    const auto status = fs::status(so_far, error);
    if (status.type() == fs::file_type::not_found)
      return fmt::format(": there is no folder '{}'", so_far.string());
    // A folder that may not be looked into says nothing about what is in it.
    if (error) return {};
    if (!fs::is_directory(status)) return fmt::format(": '{}' is no folder", so_far.string());
  }
  return {};
}

}  // namespace penstock
