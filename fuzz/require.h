// Invariants of a target. A broken one prints what it was and ends the process: libFuzzer keeps the input.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace penstock::fuzz {

inline void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: broken invariant: %s\n", what.c_str());
  std::abort();
}

}  // namespace penstock::fuzz
