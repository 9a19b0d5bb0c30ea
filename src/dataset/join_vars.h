// Files with different genes as one matrix: the genes of all files (outer) or those that every file has
// (inner), and for each file where its columns go.
//
// The order is that of anndata.concat: with "inner" that of the first file; with "outer" sorted by name,
// unless all files have the same genes in the same order.
//
// Thread contract: externally synchronised. Memory: names and tables are reserved from the Dataset's budget
// under `index`; files with the same genes share a table.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/column_map.h"
#include "source/column_text.h"

namespace penstock::internal {

class VarJoin {
 public:
  explicit VarJoin(MemoryBudget& budget) : budget_(budget) {}

  // The next file's names. A name that it has twice is invalid_argument: it cannot be told where it belongs.
  Status add(const TextReader& names, const std::string& path);
  // The next file has the names of the first one.
  void add_first_again() { files_.push_back(files_.front()); }

  struct Joined {
    std::vector<std::string> names;
    Reservation held;
    // Per file; nullptr where its columns are those of the join.
    std::vector<std::shared_ptr<const ColumnMap>> columns;
    // The column of the first file that each is, or ColumnMap::kDropped. Empty: the same.
    std::vector<std::uint32_t> first_file;
    std::uint64_t n_seen = 0;  // different names over all files
  };
  Result<Joined> finish(bool inner);

 private:
  // One list of genes: the number of each name in names_.
  using List = std::vector<std::uint32_t>;

  MemoryBudget& budget_;
  Reservation held_;
  ByteCount bytes_ = 0;
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::vector<const std::string*> names_;  // by number
  std::vector<List> lists_;
  std::vector<std::size_t> files_;  // each one's list
};

}  // namespace penstock::internal
