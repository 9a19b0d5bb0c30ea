// Where each row group begins: its rows, or the elements of its flat columns, numbered through the file.
//
// Thread contract: immutable once built. Memory: 8 bytes a row group; reserved by the caller (bytes()).
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"

namespace penstock::parquet {

class GroupStarts {
 public:
  // The next row group begins at `first`; at last, where they end.
  void add(std::uint64_t first) { starts_.push_back(first); }
  void reserve(std::size_t n_groups) { starts_.reserve(n_groups + 1); }

  std::size_t n_groups() const { return starts_.size() - 1; }
  std::uint64_t first(std::size_t group) const { return starts_[group]; }
  std::uint64_t end(std::size_t group) const { return starts_[group + 1]; }
  std::uint64_t size(std::size_t group) const { return end(group) - first(group); }
  std::uint64_t total() const { return starts_.back(); }
  // The row group that holds `at`; groups without rows hold none.
  std::size_t group_of(std::uint64_t at) const {
    return static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), at) - starts_.begin()) -
           1;
  }
  // Where a row group begins or ends, whichever is nearer to `at`.
  std::uint64_t nearest(std::uint64_t at) const {
    const std::size_t g = group_of(at);
    return at - first(g) <= end(g) - at ? first(g) : end(g);
  }
  ByteCount bytes() const { return starts_.capacity() * sizeof(std::uint64_t); }

  // f(group, the wanted ranges that touch it) for each such row group, in order, until it returns false. A
  // range that runs over several groups comes once for each. Example: groups of 10 rows, wanted [3, 5),
  // [8, 21), [25, 26): f(0, [3, 5) [8, 21)), f(1, [8, 21)), f(2, [8, 21) [25, 26)).
  template <class F>
  void for_each_group(std::span<const RowRange> wanted, F&& f) const {
    RowIndex at = wanted.empty() ? 0 : wanted.front().first;
    for (std::size_t i = 0; i < wanted.size();) {
      const std::size_t g = group_of(at);
      std::size_t after = i;
      while (after < wanted.size() && wanted[after].first < end(g)) ++after;
      if (!f(g, wanted.subspan(i, after - i))) return;
      // The last one may go on in the next group.
      const bool goes_on = wanted[after - 1].last > end(g);
      i = goes_on ? after - 1 : after;
      if (i < wanted.size()) at = goes_on ? end(g) : wanted[i].first;
    }
  }

 private:
  std::vector<std::uint64_t> starts_;  // and one behind the last
};

}  // namespace penstock::parquet
