// A column of strings as codes in memory. A row of strings cannot be found without all of its chunk, so
// strings do not stream; as codes they cost a byte or two a row.
//
// Thread contract: pure function; the result is immutable.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/obs_column.h"
#include "source/table.h"

namespace penstock {

// Distinct strings of a column; more of them make no label.
inline constexpr std::size_t kMaxDistinctStrings = 65'536;

// 1, 2 or 4 bytes a row, so `column` requests nothing and decodes from there.
struct CodedStrings {
  std::shared_ptr<const ObsColumn> column;
  std::vector<std::string> names;  // sorted; code i stands for names[i]
  Reservation held;                // of both, under `obs`
};

// Reads the whole column, whose encoding is `string`. More than kMaxDistinctStrings is invalid_argument that
// says what to use instead.
Result<std::shared_ptr<const CodedStrings>> code_strings(const TableColumn& column, MemoryBudget& budget);

}  // namespace penstock
