// Numbers in memory whose alignment nobody promises: the bytes of files, and arrays of elements whose type is
// known at run time only. A cast of the pointer would be undefined behaviour; memcpy compiles to one load.
#pragma once

#include <cstddef>
#include <cstring>

namespace penstock {

// Element i of an array of T.
template <class T>
T load(const std::byte* array, std::size_t i = 0) {
  T value;
  std::memcpy(&value, array + i * sizeof(T), sizeof(T));
  return value;
}

}  // namespace penstock
