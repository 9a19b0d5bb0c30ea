// Counts the calls of operator new of a test program that links count_allocations.cc.
#pragma once

#include <cstddef>

namespace penstock::testing {

std::size_t allocations();

}  // namespace penstock::testing
