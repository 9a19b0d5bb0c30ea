// Assertions on our own invariants. Neither may be reachable from file contents or user arguments:
// those are errors (penstock/status.h).
#pragma once

#include <cstdlib>

// Always on, for cheap checks at stage edges.
#define PENSTOCK_CHECK(condition)  \
  do {                             \
    if (!(condition)) [[unlikely]] \
      __builtin_trap();            \
  } while (false)

// Debug builds only; free in release.
#ifdef NDEBUG
#define PENSTOCK_DCHECK(condition) \
  do {                             \
  } while (false)
#else
#define PENSTOCK_DCHECK(condition) PENSTOCK_CHECK(condition)
#endif
