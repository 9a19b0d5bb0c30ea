#include "source/label_integers.h"

#include <fmt/format.h>

namespace penstock {

Status refuse_label_integer(const std::string& where, RowIndex row, std::int64_t value, bool is_unsigned,
                            ObsKind kind) {
  const bool whole = kind == ObsKind::integer;
  return Status::invalid_argument(
      fmt::format("{}: row {} is {}, which {} does not hold{}: labels of {} are of that type. Store the "
                  "column as strings, or look its values up in ds.obs by batch.index",
                  where, row, integer_text(value, is_unsigned), whole ? "int64" : "float64",
                  whole ? "" : " exactly", whole ? "integers" : "a column with missing values or fractions"));
}

}  // namespace penstock
