// Normalising and log1p of a row's values, as scanpy's pp.normalize_total and pp.log1p do it.
//
// Pure kernels, as in compact_row.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/types.h"

namespace penstock::batch {

// n values of f32 or f64 in place: value * scale, then the natural logarithm of 1 + that when `log1p`. Values
// below -1 become NaN. Within 2 units in the last place of the exact logarithm.
void scale_values(std::byte* values, NumericType type, std::size_t n, double scale, bool log1p);

// The same of n counts of one byte each, to f32: looked up in a table of the row's counts, which are few and
// small. Equal, bit for bit, to scale_values() of the counts as f32.
void scale_counts(const std::uint8_t* counts, std::size_t n, double scale, bool log1p, float* out);

// The sum of n bytes.
std::uint64_t sum_counts(const std::uint8_t* counts, std::size_t n);

}  // namespace penstock::batch
