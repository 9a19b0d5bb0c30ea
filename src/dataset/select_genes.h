// Genes by name: which columns names are, and what is said when some are not there.
//
// Thread contract: pure functions of immutable parts. Memory: see var_space.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "dataset/opened_files.h"
#include "dataset/var_space.h"
#include "penstock/status.h"

namespace penstock::internal {

// Names that are not there: not_found; left out; columns of zeros.
enum class MissingVar : std::uint8_t { error, drop, zero };
// "error", "drop", "zero"; else invalid_argument.
Result<MissingVar> missing_var(const std::string& text);

// The columns of `from` (nullptr: of the opened files) whose names, or values of the var column `key` unless
// that is empty, are `wanted`, in that order. Where some are missing the result has a note that says how many
// were found. not_found, with a hint (gene_hints.h), when one is missing and must not be, or when none is
// there; invalid_argument for a name that several genes have, or that is asked for twice.
Result<std::shared_ptr<const VarSpace>> select_names(const OpenedFiles& opened, const VarSpace* from,
                                                     std::span<const std::string> wanted,
                                                     const std::string& key, MissingVar missing);

}  // namespace penstock::internal
