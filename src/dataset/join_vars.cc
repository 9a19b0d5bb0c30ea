#include "dataset/join_vars.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "memory/reserve_for.h"
#include "source/mapped_source.h"

namespace penstock::internal {

// Every name has a number, in the order in which names were first seen, and a file is the list of its
// numbers:
//
//     first file  A B C    0 1 2
//     second      B C D    1 2 3
//     third       A B C    0 1 2   the list of the first, which it shares
//
// Files of one study have one list as a rule, however many they are. Then each has the number of a list, and
// a table of columns is made for each list, not for each file. finish() chooses the numbers that stay and
// gives each its place: inner 1 2, in the order of the first file; outer 0 1 2 3, sorted by name.

Status VarJoin::add(const TextReader& reader, const std::string& path) {
  // What a name costs beside its characters: the string, its number, the table's node and bucket.
  constexpr ByteCount kName = sizeof(std::string) + 6 * sizeof(void*);
  if (held_.bytes() == 0) {
    PENSTOCK_ASSIGN_OR_RETURN(held_, reserve_for(reader.where(), budget_, MemoryTag::index, 1));
  }
  const std::uint64_t n = reader.size(), step = reader.rows_at_once();
  // Charged before the list is made, with a bit for each name (n / 8) to look for repeated ones.
  bytes_ += n * sizeof(std::uint32_t);
  PENSTOCK_RETURN_IF_ERROR(resize_for(reader.where(), budget_, held_, MemoryTag::index, bytes_ + n / 8));
  List list;
  list.reserve(n);
  for (std::uint64_t first = 0; first < n; first += step) {
    PENSTOCK_ASSIGN_OR_RETURN(auto names, reader.read(first, std::min(step, n - first)));
    bytes_ += string_bytes(names) + names.size() * kName;
    PENSTOCK_RETURN_IF_ERROR(resize_for(reader.where(), budget_, held_, MemoryTag::index, bytes_ + n / 8));
    for (std::string& name : names) {
      const auto [at, fresh] =
          numbers_.try_emplace(std::move(name), static_cast<std::uint32_t>(names_.size()));
      if (fresh) {
        // The string in the table stays where it is while the table grows (unordered_map moves buckets and
        // not nodes).
        names_.push_back(&at->first);
      } else {
        bytes_ -= at->first.size() + kName;  // it was there
      }
      list.push_back(at->second);
    }
  }
  std::vector<bool> seen(names_.size());
  for (const std::uint32_t number : list) {
    if (seen[number]) {
      return Status::invalid_argument(
          fmt::format("{}: var name '{}' is there twice; to join files by gene each file's names must be "
                      "unique (var_key= chooses another column of var)",
                      path, *names_[number]));
    }
    seen[number] = true;
  }
  // bytes_ has been told more than stays: strings that were there already, and this list if it is another's.
  const auto same = std::find(lists_.begin(), lists_.end(), list);
  files_.push_back(static_cast<std::size_t>(same - lists_.begin()));
  if (same == lists_.end()) {
    lists_.push_back(std::move(list));
  } else {
    bytes_ -= n * sizeof(std::uint32_t);
  }
  return resize_for(reader.where(), budget_, held_, MemoryTag::index, bytes_);
}

Result<VarJoin::Joined> VarJoin::finish(bool inner) {
  Joined out;
  out.n_seen = names_.size();
  const std::string what = "the joined var names";
  PENSTOCK_ASSIGN_OR_RETURN(const Reservation work, reserve_for(what, budget_, MemoryTag::index,
                                                                names_.size() * 3 * sizeof(std::uint32_t)));
  // The numbers of the names that stay, in order.
  List order;
  if (inner) {
    std::vector<std::uint32_t> lists_with(names_.size());
    for (const List& list : lists_) {
      for (const std::uint32_t number : list) ++lists_with[number];
    }
    for (const std::uint32_t number : lists_.front()) {
      if (lists_with[number] == lists_.size()) order.push_back(number);
    }
    if (order.empty()) {
      return Status::invalid_argument(
          "join=\"inner\": no gene is in every file; do the files name genes in the same way (var_key=)?");
    }
  } else if (lists_.size() == 1) {
    order = lists_.front();
  } else {
    order.resize(names_.size());
    std::iota(order.begin(), order.end(), 0U);
    // As anndata.concat has it. With one list there is nothing to be sorted: its order stays.
    std::sort(order.begin(), order.end(),
              [this](std::uint32_t a, std::uint32_t b) { return *names_[a] < *names_[b]; });
  }
  std::vector<std::uint32_t> place(names_.size(), ColumnMap::kDropped);
  ByteCount bytes = 0;
  // From the number of a name to its column in the join. Names that are left out keep kDropped.
  for (std::size_t i = 0; i < order.size(); ++i) {
    place[order[i]] = static_cast<std::uint32_t>(i);
    bytes += sizeof(std::string) + names_[order[i]]->size() + 1;
  }
  PENSTOCK_ASSIGN_OR_RETURN(out.held,
                            reserve_for(what, budget_, MemoryTag::index,
                                        bytes + files_.size() * sizeof(MappedSource) +
                                            (lists_.size() == 1 ? 0 : order.size() * sizeof(std::uint32_t))));
  out.names.reserve(order.size());
  for (const std::uint32_t number : order) out.names.push_back(*names_[number]);

  // A file whose columns are the joined ones, in order, needs no table: its source is used as it is.
  std::vector<std::shared_ptr<const ColumnMap>> maps;
  for (const List& list : lists_) {
    maps.emplace_back();
    if (list == order) continue;
    List to(list.size());
    std::transform(list.begin(), list.end(), to.begin(), [&](std::uint32_t number) { return place[number]; });
    PENSTOCK_ASSIGN_OR_RETURN(maps.back(), ColumnMap::create(to, order.size(), budget_));
  }
  for (const std::size_t list : files_) out.columns.push_back(maps[list]);
  // The other way round, for the first file alone: its var table is what users see, and this says which row
  // of it belongs to each column of the join.
  if (out.columns.front() != nullptr) {
    out.first_file.assign(order.size(), ColumnMap::kDropped);
    const List& first = lists_[files_.front()];
    for (std::size_t c = 0; c < first.size(); ++c) {
      if (place[first[c]] != ColumnMap::kDropped)
        out.first_file[place[first[c]]] = static_cast<std::uint32_t>(c);
    }
  }
  return out;
}

}  // namespace penstock::internal
