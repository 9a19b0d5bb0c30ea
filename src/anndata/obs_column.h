// Columns of obs as the loader wants them (source/obs_column.h): codes and numbers that stream with the rows,
// and strings, which are coded once and kept.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "anndata/frame.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/obs_column.h"

namespace penstock::anndata {

// Distinct strings of a column; more of them make no label.
inline constexpr std::size_t kMaxDistinctStrings = 65'536;

// True for columns that stream_column() takes; the others go through code_strings().
bool streams(const FrameColumn& column);

// A view that reads rows by ranges. n_categories bounds the codes of a categorical. Not for strings.
std::shared_ptr<const ObsColumn> stream_column(FrameColumn column, std::uint64_t n_categories);

// A column of strings, coded: 1, 2 or 4 bytes a row in memory, so it requests nothing and decodes from there.
struct CodedStrings {
  std::shared_ptr<const ObsColumn> column;
  std::vector<std::string> names;  // sorted; code i stands for names[i]
  Reservation held;                // of both, under `obs`
};

// Reads the whole column. More than kMaxDistinctStrings is invalid_argument that says what to use instead.
Result<std::shared_ptr<const CodedStrings>> code_strings(const FrameColumn& column, MemoryBudget& budget);

}  // namespace penstock::anndata
