// Selections in files: which rows of which files, checked when they come back.
//
//   "PNSTSEL1"; u32 version 1; u32 files; u64 digest of all names and row counts
//   per file: u32 length and bytes of its name without folders; u64 rows; u64 rows selected;
//             u8 0 all of them, or 1 and u64 length and bytes of a bitmap in CRoaring's portable format
//   u64 FNV-1a of everything before
//
// All little-endian. Thread contract: pure functions of immutable parts. Memory: the file's bytes while it is
// read, reserved under `index`; bitmaps as in selection_builder.h.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "dataset/opened_files.h"
#include "dataset/selection.h"
#include "penstock/status.h"

namespace penstock::internal {

Status save_selection(const OpenedFiles& opened, std::span<const FilePart> parts, const std::string& path);
Result<Parts> load_selection(const OpenedFiles& opened, const std::string& path);

// The format as bytes, for the two above and for tests. `paths` and `all`: of every file, with all of its
// rows; `label` is what errors call the bytes. Nothing is believed of them before it is checked.
std::string selection_bytes(std::span<const std::string> paths, std::span<const FilePart> all,
                            std::span<const FilePart> parts);
Result<Parts> parse_selection(std::span<const std::string> paths, std::span<const FilePart> all,
                              std::span<const std::byte> bytes, std::string_view label, MemoryBudget& budget);

}  // namespace penstock::internal
