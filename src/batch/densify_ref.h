// The plain way to a dense row: zeros, then the values where they belong.
#pragma once

#include <cstddef>
#include <cstring>

#include "batch/compact_row_ref.h"
#include "batch/densify.h"

namespace penstock::batch::ref {

template <class Id>
void densify_row(const Id* ids, const std::byte* values, ValueClass cls, std::size_t n, NumericType type,
                 std::size_t n_cols, std::byte* dst) {
  const std::size_t size = numeric_size(type);
  if (n_cols > 0) std::memset(dst, 0, n_cols * size);
  const std::size_t width = value_class_bytes(cls, type);
  for (std::size_t i = 0; i < n; ++i)
    ref::expand_values(values + i * width, cls, 1, dst + ids[i] * size, type);
}

}  // namespace penstock::batch::ref
