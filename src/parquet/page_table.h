// Where the pages of one column lie, over the row groups of a file, and how large they get: what is kept in
// memory of a column to read any rows of it.
//
// Positions count within a row group: rows for a list column, elements for a flat one. A row group whose
// pages were not looked at has one entry, as if it were one page: it is read whole.
//
// Thread contract: immutable once built. Memory: 16 bytes a page, 24 a row group; reserved by the caller
// (bytes()).
#pragma once

#include <cstdint>
#include <vector>

#include "base/types.h"
#include "parquet/metadata.h"

namespace penstock::parquet {

struct PageEntry {
  ByteOffset offset = 0;    // in the file, of its header
  std::uint32_t first = 0;  // the first row that begins in it (maybe none does), or its first element
  bool fresh = true;        // it begins with a row, not inside one
};

// The most that any page or dictionary of the column needs.
struct PageLimits {
  ByteCount page = 0;            // bytes of scratch to decompress one
  std::uint64_t dictionary = 0;  // entries
  std::uint64_t positions = 0;   // rows that begin in a page
  void widen(const PageLimits& other);
};

// What to read for some positions of a row group.
struct PageSpan {
  ByteOffset dictionary = 0,
             dictionary_end = 0;  // empty when the first page follows at once, or there is none
  ByteOffset begin = 0, end = 0;  // pages
  std::uint32_t first = 0;        // position at `begin`
};

class PageTable {
 public:
  // Pages of the next row group follow by add_page(), and where they end by end_group().
  void add_group(ByteOffset begin);
  void end_group(ByteOffset end) { groups_.back().end = end; }
  void add_page(const PageEntry& page) { pages_.push_back(page); }
  void finish() { groups_.push_back({0, 0, static_cast<std::uint32_t>(pages_.size())}); }

  std::size_t n_groups() const { return groups_.size() - 1; }
  std::uint64_t n_pages() const { return pages_.size(); }
  // Pages for positions [first, last) of a group of `n`; first < last <= n.
  PageSpan span(std::size_t group, std::uint64_t first, std::uint64_t last, std::uint64_t n) const;
  // The page in which position `at` begins.
  const PageEntry& page_of(std::size_t group, std::uint64_t at) const;
  // The position nearest `at` with which a page begins: 0, n, or that of a page.
  std::uint64_t nearest(std::size_t group, std::uint64_t at, std::uint64_t n) const;
  ByteOffset begin(std::size_t group) const { return groups_[group].begin; }
  ByteOffset end(std::size_t group) const { return groups_[group].end; }
  ByteCount bytes() const;

 private:
  struct Group {
    ByteOffset begin = 0, end = 0;
    std::uint32_t page = 0;  // its first in pages_
  };
  const PageEntry* first_after(std::size_t group, std::uint64_t at) const;

  std::vector<Group> groups_;  // and one behind the last
  std::vector<PageEntry> pages_;
};

}  // namespace penstock::parquet
