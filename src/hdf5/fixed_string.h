// Fixed-length strings (HDF5 spec IV.A.2.d, class 3).
#pragma once

#include <string>
#include <string_view>

namespace penstock::hdf5 {

// Null-terminated and null-padded ones end at the first NUL; space-padded ones lose their trailing spaces.
inline std::string fixed_string(std::string_view stored, bool space_padded) {
  stored = stored.substr(0, stored.find('\0'));
  if (space_padded) {
    while (!stored.empty() && stored.back() == ' ') stored.remove_suffix(1);
  }
  return std::string(stored);
}

}  // namespace penstock::hdf5
