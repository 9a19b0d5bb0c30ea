// Compact rows: how a row lies in the shuffle window. Column ids as u16 (u32 above 65,536 columns), values in
// the narrowest of u8, u16 and the output type that reproduces them bit for bit in the output type.
//
// Pure kernels: no allocation, no I/O, no locks; safe from many threads. Run-time dispatch through Highway;
// each has a plain loop in compact_row_ref.h that tests compare against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/types.h"

namespace penstock::batch {

enum class ValueClass : std::uint8_t { u8, u16, wide };  // wide: the output type itself

constexpr std::size_t value_class_bytes(ValueClass cls, NumericType output) {
  return cls == ValueClass::u8 ? 1 : cls == ValueClass::u16 ? 2 : numeric_size(output);
}

struct NarrowResult {
  bool in_range = true;   // every id is >= 0 and < n_cols
  bool ascending = true;  // strictly: sorted, no duplicates
  std::size_t bad = 0;    // first position out of range
};
// Reads n ids of `type` (little-endian, any integer type, maybe unaligned) into u16 (n_cols <= 65,536) or u32
// (n_cols <= 2^32). Writes exactly n elements; what is written for ids out of range is unspecified.
NarrowResult narrow_ids(const std::byte* in, NumericType type, std::size_t n, std::uint64_t n_cols,
                        std::uint16_t* out);
NarrowResult narrow_ids(const std::byte* in, NumericType type, std::size_t n, std::uint64_t n_cols,
                        std::uint32_t* out);

// Sorts a row by id (stable) and sums values of equal ids in the value's own type (as scipy's sum_duplicates
// does; integers wrap). Returns the new length. `scratch` holds at least sort_scratch_bytes(n), at any
// alignment. n < 2^32.
std::size_t sort_scratch_bytes(std::size_t n);
std::size_t sort_row(std::uint16_t* ids, std::byte* values, NumericType value_type, std::size_t n,
                     std::byte* scratch);
std::size_t sort_row(std::uint32_t* ids, std::byte* values, NumericType value_type, std::size_t n,
                     std::byte* scratch);

// numpy's astype, element by element: floats round to nearest even, float -> int truncates (out of range and
// NaN give what x86 numpy gives), int -> int wraps; bfloat16 is rounded from float32, as torch does. Returns
// how many conversions were inexact (the result is another number; NaN to NaN is exact). in may equal out
// when the types are equal. Any pair of types.
std::size_t convert_values(const std::byte* in, NumericType in_type, std::size_t n, std::byte* out,
                           NumericType out_type);

// Packs n values of the output type as u8 or u16 when every one survives the way back bit for bit (-0.0 and
// NaN do not); writes at most n * sizeof(output type) bytes, exactly n * value_class_bytes() of which count.
// `out` has room for n values of the output type and does not overlap `in`. Copies for `wide`, which is also
// the answer when the class would not be narrower than the type.
ValueClass compact_values(const std::byte* in, NumericType type, std::size_t n, std::byte* out);
// How results are written. `streamed`: past the caches, for batches larger than they are, where the target
// has such stores (u16 ids to i32 and u8 or u16 values to f32; else as `cached`); stream_fence() before
// others read them.
enum class Writes : std::uint8_t { cached, streamed };

// The way back.
void expand_values(const std::byte* in, ValueClass cls, std::size_t n, std::byte* out, NumericType type,
                   Writes writes = Writes::cached);

// Ids to the index type of CSR batches.
void expand_ids(const std::uint16_t* in, std::size_t n, std::int32_t* out, Writes writes = Writes::cached);
void expand_ids(const std::uint16_t* in, std::size_t n, std::int64_t* out, Writes writes = Writes::cached);
void expand_ids(const std::uint32_t* in, std::size_t n, std::int32_t* out, Writes writes = Writes::cached);
void expand_ids(const std::uint32_t* in, std::size_t n, std::int64_t* out, Writes writes = Writes::cached);
// Orders streamed writes before later ones.
void stream_fence();

// The name of the instruction set in use ("AVX2", "AVX3", ...), and forcing the plain loops (tests).
const char* simd_target();
void force_scalar(bool on);

}  // namespace penstock::batch
