// Integers as labels of batches: each is the file's, or it is refused. Labels are int64, or float64 where
// values may be missing or other files have fractions; neither holds every integer of 64 bits.
//
// Thread contract: pure function.
#pragma once

#include <cstdint>
#include <string>

#include "base/types.h"
#include "penstock/status.h"
#include "source/numbers.h"
#include "source/obs_column.h"

namespace penstock {

Status refuse_label_integer(const std::string& where, RowIndex row, std::int64_t value, bool is_unsigned,
                            ObsKind kind);

// An integer of type `type`, the bits of it in 64, as a label of kind `kind`. invalid_argument names the
// column and its row.
inline Status check_label_integer(const std::string& where, RowIndex row, std::int64_t value,
                                  NumericType type, ObsKind kind) {
  const bool is_unsigned = type == NumericType::u64;
  const bool fits =
      kind == ObsKind::integer ? value >= 0 || !is_unsigned : exact_in_double(value, is_unsigned);
  return fits ? Status() : refuse_label_integer(where, row, value, is_unsigned, kind);
}

}  // namespace penstock
