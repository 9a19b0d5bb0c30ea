// What lies in the file system beside what is opened: a pqdata folder, a gene table beside a file, the files
// of a folder. Like io/file.h, which reads them, these are the only places that ask the system.
//
// Thread contract: pure functions of the file system.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock {

// False too for what cannot be looked at.
bool is_file(const std::string& path);
bool is_folder(const std::string& path);
bool exists(const std::string& path);

// The names in a folder, in no order; none when it cannot be read. "" is the working folder.
std::vector<std::string> names_in(const std::string& folder);

// "a", "b" -> "a/b"
std::string inside(const std::string& folder, std::string_view name);
// "a/b" -> "a"; "b" -> ""
std::string folder_of(const std::string& path);
// "a/../b" -> "b"
std::string normal_path(const std::string& path);

}  // namespace penstock
