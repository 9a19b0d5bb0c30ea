// Why names of genes are not found: they are of another column of var, or written otherwise.
//
// Thread contract: pure functions of immutable parts. Memory: what is looked at meanwhile is reserved from
// the Dataset's budget first, one column of var at a time; what has no room, or cannot be read, gives no
// hint.
#pragma once

#include <span>
#include <string>

#include "dataset/opened_files.h"
#include "dataset/var_space.h"

namespace penstock::internal {

// Names of genes that were asked for, some of which are not there.
struct GenesAsked {
  std::span<const std::string> wanted, absent;  // absent: those of wanted that are not there
  std::span<const std::string> there;           // what they were looked for in; an empty one is no name
  std::string key;                              // the column of var that it is; empty: the names
};

// "12 of the 15 names are in var column 'symbol': key=\"symbol\"", "4 of them are there, but written
// otherwise: 'ENSG00000141510.4' is 'ENSG00000141510' here (version suffix)"; empty when neither is so.
// Columns of the first file are looked at.
std::string gene_hint(const OpenedFiles& opened, const VarSpace* vars, const GenesAsked& asked);

}  // namespace penstock::internal
