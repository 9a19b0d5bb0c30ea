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
#include "penstock/note.h"
#include "penstock/status.h"
#include "source/column_map.h"
#include "source/row_source.h"

namespace penstock::internal {

struct OpenedFiles;

struct VarSpace {
  std::vector<std::string> names;
  // The opened column that each is, or ColumnMap::kDropped: a column of zeros, in no file.
  std::vector<std::uint32_t> picks;
  // What selecting them by name left to say: how many of the names there are.
  std::vector<Note> notes;
  Reservation held;
};

// Columns `columns` of `from` (nullptr: of the opened files), in that order; kZero: one of zeros, named by
// `zeros`, which holds a name for each of them. `notes` come behind those of `from`. invalid_argument for one
// out of range or given twice.
inline constexpr std::int64_t kZero = -1;
Result<std::shared_ptr<const VarSpace>> select_columns(const OpenedFiles& opened, const VarSpace* from,
                                                       std::span<const std::int64_t> columns,
                                                       std::span<const std::string> zeros,
                                                       std::span<const Note> notes = {});

// The parts of a Dataset with these columns: sources that leave the others out.
Result<std::vector<FilePart>> with_columns(const OpenedFiles& opened, std::span<const FilePart> parts,
                                           const VarSpace& vars);

}  // namespace penstock::internal
