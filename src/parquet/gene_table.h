// What the integers of a gene column stand for: a table with token_id beside ensembl_id and gene_symbol, as
// Parquet or CSV with a header line.
//
// Thread contract: immutable. Memory: the token map, and a CSV's columns, reserved under `index`.
#pragma once

#include <memory>
#include <string>

#include "io/file.h"
#include "parquet/gene_map.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/table.h"

namespace penstock::parquet {

struct GeneTable {
  std::shared_ptr<const GeneMap> map;  // token -> row of the table = column of the matrix
  // Rows are named by ensembl_id, else gene_symbol, else numbered.
  std::shared_ptr<const Table> var;
};

// A path that ends in .csv is text (RFC 4180: commas, double quotes), any other Parquet. not_found, listing
// its columns, when there is no token_id; `corrupt` for text that is no table, naming the line.
Result<std::shared_ptr<const GeneTable>> open_gene_table(const std::string& path, const FileOpener& opener,
                                                         const std::shared_ptr<MemoryBudget>& budget);

// Where a gene table is looked for when none is given: gene_metadata.parquet beside `path`, in metadata/
// beside it, or in metadata/ beside its folder. Empty when there is none.
std::string find_gene_table(const std::string& path);

// Lines and fields of CSV text. `corrupt` names the line.
Result<std::vector<std::vector<std::string>>> parse_csv(std::string_view text, const std::string& label);

}  // namespace penstock::parquet
