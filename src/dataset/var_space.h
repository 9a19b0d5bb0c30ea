// The columns of a Dataset: those of the opened files, joined, or a selection of them in the order asked for.
//
// Thread contract: immutable. Memory: names and numbers reserved from the Dataset's budget under `index`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataset/dataset_impl.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/column_map.h"
#include "source/row_source.h"

namespace penstock::internal {

struct OpenedFiles;

struct VarSpace {
  std::vector<std::string> names;
  // The opened column that each is, or ColumnMap::kDropped: a column of zeros, in no file.
  std::vector<std::uint32_t> picks;
  Reservation held;
};

// Columns `columns` of `from` (nullptr: of the opened files), in that order; kZero: one of zeros, named by
// `zeros`, which holds a name for each of them. invalid_argument for one out of range or given twice.
inline constexpr std::int64_t kZero = -1;
Result<std::shared_ptr<const VarSpace>> select_columns(const OpenedFiles& opened, const VarSpace* from,
                                                       std::span<const std::int64_t> columns,
                                                       std::span<const std::string> zeros);

// Where `wanted` names are among `names` (an empty one is none); kZero for those that are not there when they
// may be missing, else not_found with near names. A name that is there several times, or is asked for twice,
// is invalid_argument.
enum class MissingVar : std::uint8_t { error, drop, zero };
Result<std::vector<std::int64_t>> find_names(std::span<const std::string> names,
                                             std::span<const std::string> wanted, MissingVar missing,
                                             const std::string& what, std::vector<std::string>* zeros);

// The parts of a Dataset with these columns: sources that leave the others out.
Result<std::vector<FilePart>> with_columns(const OpenedFiles& opened, std::span<const FilePart> parts,
                                           const VarSpace& vars);

}  // namespace penstock::internal
