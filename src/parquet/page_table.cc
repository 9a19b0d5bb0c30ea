// Which pages some rows are in. Pages of a list column do not begin with rows: a page is closed when it is
// full, and a row may begin in one and end in the next, or run over several. For each page the table says
// which row is the first to begin in it, and whether the page begins with it (fresh) or with what is left of
// the row before.
//
// A worked example, 10 rows in four pages:
//
//     page             A               B                   C             D
//     rows in it       0 1 2 3 4...    ...4 5 6 7          8...          ...8 9
//     first, fresh     0, yes          5, no               8, yes        9, no
//
// Rows [5, 8): page_of(5) is B, and C begins with row 8, so that B is enough. Rows [2, 5): row 5 begins in B,
// but behind the end of row 4, so that A and B are read. Rows [8, 9): C and D.
//
// Pages of flat columns are the simple case. Their positions are elements, and every page is fresh.
//
// A page whose values are dictionary indices is of no use without the dictionary, which is the first page of
// the row group. It is asked for by itself when the wanted pages do not begin with the group.
#include "parquet/page_table.h"

#include <algorithm>

namespace penstock::parquet {

void PageLimits::widen(const PageLimits& other) {
  page = std::max(page, other.page);
  dictionary = std::max(dictionary, other.dictionary);
  positions = std::max(positions, other.positions);
}

// A group's pages are those from its own `page` to the next group's; finish() adds the one behind the last.
void PageTable::add_group(ByteOffset begin) {
  groups_.push_back({begin, begin, static_cast<std::uint32_t>(pages_.size())});
}

// The first page of the group with which a later position than `at` begins.
const PageEntry* PageTable::first_after(std::size_t group, std::uint64_t at) const {
  const PageEntry* begin = pages_.data() + groups_[group].page;
  const PageEntry* end = pages_.data() + groups_[group + 1].page;
  return std::upper_bound(
      begin, end, at, [](std::uint64_t position, const PageEntry& page) { return position < page.first; });
}

// Of pages that name the same position only the last holds its beginning: the others hold the middle of the
// row before.
const PageEntry& PageTable::page_of(std::size_t group, std::uint64_t at) const {
  const PageEntry* after = first_after(group, at);
  return after == pages_.data() + groups_[group].page ? *after : after[-1];
}

PageSpan PageTable::span(std::size_t group, std::uint64_t first, std::uint64_t last, std::uint64_t n) const {
  const PageEntry* pages = pages_.data() + groups_[group].page;
  const PageEntry* end = pages_.data() + groups_[group + 1].page;
  PageSpan out;
  if (pages == end) return out;  // a group without rows
  const PageEntry& from = page_of(group, first);
  out.begin = from.offset;
  out.first = from.first;
  out.end = groups_[group].end;
  if (last < n) {
    // `to` holds the beginning of row `last`. If it holds something of the row before as well, it has to be
    // read, and reading ends with the page behind it.
    const PageEntry* to = &page_of(group, last);
    if (!to->fresh || to->first != last) ++to;
    if (to != end) out.end = to->offset;
  }
  if (&from != pages) {
    out.dictionary = groups_[group].begin;
    out.dictionary_end = pages->offset;
  } else {
    out.begin = groups_[group].begin;  // the dictionary comes with the pages
  }
  return out;
}

std::uint64_t PageTable::nearest(std::size_t group, std::uint64_t at, std::uint64_t n) const {
  const PageEntry* pages = pages_.data() + groups_[group].page;
  const PageEntry* end = pages_.data() + groups_[group + 1].page;
  const PageEntry* after = first_after(group, at);
  // For cutting blocks where pages begin: blocks that share a page decompress it twice.
  const std::uint64_t above = after == end ? n : after->first;
  const std::uint64_t below = after == pages ? 0 : after[-1].first;
  return at - below <= above - at ? below : above;
}

ByteCount PageTable::bytes() const {
  return groups_.capacity() * sizeof(Group) + pages_.capacity() * sizeof(PageEntry);
}

}  // namespace penstock::parquet
