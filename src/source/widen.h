// Numbers of one type as numbers of a wider one: what vectors become whose columns, or files, have several
// types.
//
// Thread contract: pure functions.
#pragma once

#include <cstddef>
#include <optional>

#include "base/types.h"
#include "penstock/batch.h"

namespace penstock {

// Bytes of a number, and its name as numpy has it.
std::size_t item_bytes(ArrayType type);
const char* type_name(ArrayType type);
// Of a number as it is stored.
ArrayType array_type(NumericType type);

// The narrowest type that holds the values of both: the wider of two integers or two floats; of an integer
// and a float a float with as many bits as the integer; float64 for 64-bit integers, of which widen() looks
// at each. nullopt: of uint64 and a signed type, which no integer type holds.
std::optional<ArrayType> wider_type(ArrayType a, ArrayType b);

// n numbers at `in` (native byte order, at any address) as numbers of `to`, which wider_type() gave, at
// `out`. Returns the number of the first that is no number of `to`, or n. Booleans come out as 0 and 1.
std::size_t widen(ArrayType from, const std::byte* in, std::size_t n, ArrayType to, std::byte* out);

}  // namespace penstock
