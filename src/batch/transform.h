// Normalising and log1p of a row's values, as scanpy's pp.normalize_total and pp.log1p do it.
//
// Pure kernels, as in compact_row.h.
#pragma once

#include <cstddef>

#include "base/types.h"

namespace penstock::batch {

// n values of f32 or f64 in place: value * scale, then the natural logarithm of 1 + that when `log1p`. Values
// below -1 become NaN. Within 2 units in the last place of the exact logarithm.
void scale_values(std::byte* values, NumericType type, std::size_t n, double scale, bool log1p);

}  // namespace penstock::batch
