// Tokens, the integers that a file names genes by, to columns of the matrix. Tokens are small numbers without
// many gaps as a rule, so that a table by token is the fastest and smallest: 4 bytes a token. Tokens that are
// hashes or database keys would make it as long as the range they span; those are sorted and searched.
//
//     tokens 7 9 4    table from 4 on: 2 - - 0 - 1       (-: kUnknown)
//
// The choice is made by the share of the table that would be empty, which bounds its memory by eight places
// for each gene.
#include "parquet/gene_map.h"

#include <fmt/format.h>

#include <algorithm>

#include "memory/reserve_for.h"

namespace penstock::parquet {
namespace {
// Tables of tokens that leave more than seven of eight places empty are searched instead.
constexpr std::uint64_t kSparse = 8;
}  // namespace

std::shared_ptr<const GeneMap> GeneMap::identity(ColIndex n_cols) {
  auto map = std::make_shared<GeneMap>();
  map->identity_ = true;
  map->n_cols_ = n_cols;
  return map;
}

Result<std::shared_ptr<const GeneMap>> GeneMap::create(std::span<const std::int64_t> tokens,
                                                       MemoryBudget& budget) {
  auto map = std::make_shared<GeneMap>();
  map->n_cols_ = tokens.size();
  if (tokens.empty()) return std::shared_ptr<const GeneMap>(std::move(map));
  const auto twice = [](std::int64_t token) {
    return Status::invalid_argument(fmt::format("the gene table has token {} twice", token));
  };
  const auto [low, high] = std::minmax_element(tokens.begin(), tokens.end());
  // Unsigned: the difference of the least and the largest int64 does not fit a signed one.
  const std::uint64_t span = static_cast<std::uint64_t>(*high) - static_cast<std::uint64_t>(*low);
  if (span / kSparse < tokens.size()) {
    PENSTOCK_ASSIGN_OR_RETURN(
        map->held_, reserve_for("gene table", budget, MemoryTag::index, (span + 1) * sizeof(std::uint32_t)));
    map->first_ = *low;
    map->dense_.assign(span + 1, kUnknown);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      // Twice the same token would leave one of the two genes without entries, silently.
      auto& column = map->dense_[static_cast<std::uint64_t>(tokens[i]) - static_cast<std::uint64_t>(*low)];
      if (column != kUnknown) return twice(tokens[i]);
      column = static_cast<std::uint32_t>(i);
    }
    return std::shared_ptr<const GeneMap>(std::move(map));
  }
  PENSTOCK_ASSIGN_OR_RETURN(map->held_, reserve_for("gene table", budget, MemoryTag::index,
                                                    tokens.size() * sizeof(map->sorted_[0])));
  map->sorted_.reserve(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i)
    map->sorted_.emplace_back(tokens[i], static_cast<std::uint32_t>(i));
  std::sort(map->sorted_.begin(), map->sorted_.end());
  for (std::size_t i = 1; i < map->sorted_.size(); ++i) {
    if (map->sorted_[i].first == map->sorted_[i - 1].first) return twice(map->sorted_[i].first);
  }
  return std::shared_ptr<const GeneMap>(std::move(map));
}

std::uint32_t GeneMap::find(std::int64_t token) const {
  // Column 0 with the token is the least pair that has it.
  const auto at = std::lower_bound(sorted_.begin(), sorted_.end(), std::pair(token, std::uint32_t{0}));
  return at != sorted_.end() && at->first == token ? at->second : kUnknown;
}

}  // namespace penstock::parquet
